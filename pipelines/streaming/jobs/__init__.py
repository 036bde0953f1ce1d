"""Streaming jobs; one module for each runner."""
