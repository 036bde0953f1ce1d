"""TODO transforms/targets."""
