"""TODO transforms/encoders."""
