"""Near-duplicate media: fingerprints, pairs of similar ones, and groups of records."""
