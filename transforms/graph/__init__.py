"""TODO transforms/graph."""
