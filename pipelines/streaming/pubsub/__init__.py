"""Pub/Sub: its address, and its messages as records and rows."""
