"""TODO transforms/features."""
