"""Sealing of a run: final files from complete units, gates, manifest, repair of damaged parts."""
