"""TODO model/training."""
