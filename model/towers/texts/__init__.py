"""Layers of the text tower: a pretrained encoder, and hashed n-grams."""
