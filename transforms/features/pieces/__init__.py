"""Tokenizers of pretrained text encoders, as graphs of TensorFlow's own ops."""
