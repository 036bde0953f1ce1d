"""TODO transforms/media."""
