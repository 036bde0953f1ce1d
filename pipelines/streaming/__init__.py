"""Scoring of records as they arrive: sources, messages, sinks, and one job for each runner."""
