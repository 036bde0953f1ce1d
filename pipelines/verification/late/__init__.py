"""Evaluation of published scores by labels that arrive after them; works without TensorFlow."""
