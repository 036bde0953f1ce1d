"""TODO model/serving."""
