"""Serving: the model bundle, its safety checks, batch scoring and explanations."""
