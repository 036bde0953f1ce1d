"""TODO transforms/files."""
