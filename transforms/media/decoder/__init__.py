"""TODO transforms/media/decoder."""
