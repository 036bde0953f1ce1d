"""Pretrained text encoders of Hugging Face Transformers, as Keras models."""
