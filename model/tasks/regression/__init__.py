"""Regression tasks: head with Huber loss, and metrics."""
