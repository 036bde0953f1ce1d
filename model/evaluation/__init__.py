"""Evaluation: predictions on a split, and the evaluation document with their metrics."""
