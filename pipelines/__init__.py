"""Use cases, Beam pipelines and the command line, built on `transforms` and `model`."""
