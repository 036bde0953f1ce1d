"""Towers: one encoder for each modality, from features to an embedding."""
