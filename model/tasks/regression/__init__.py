"""Regression: one number a record, its Huber loss, and its metrics."""
