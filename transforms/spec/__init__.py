"""TODO transforms/spec."""
