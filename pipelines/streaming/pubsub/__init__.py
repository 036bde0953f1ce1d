"""Pub/Sub: addresses, and conversion of its messages to records and of rows to messages."""
