"""Beam pipelines and the command line: connect `transforms` and `model` to storage and runners."""
