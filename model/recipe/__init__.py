"""Recipes: the network, linear models, or both, as one Keras model."""
