"""Pretrained image encoders, as Keras models and as TensorFlow graphs."""
