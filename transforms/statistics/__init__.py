"""TODO transforms/statistics."""
