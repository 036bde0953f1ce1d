"""TODO model/fusion."""
