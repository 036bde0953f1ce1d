"""Canonical media: images, audio and texts in the one form that the graph reads."""
