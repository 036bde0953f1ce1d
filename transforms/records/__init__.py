"""TODO transforms/records."""
