"""TODO transforms/labels."""
