"""TODO model/data."""
