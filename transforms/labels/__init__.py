"""Parsers of the labels in records, one for each kind of task; without TensorFlow."""
