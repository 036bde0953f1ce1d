"""Evaluation: predictions on a split, and the document of metrics."""
