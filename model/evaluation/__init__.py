"""TODO model/evaluation."""
