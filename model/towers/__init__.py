"""Towers: one encoder per modality, from its features to an embedding."""
