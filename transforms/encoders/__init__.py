"""Pretrained encoders of images and texts, as Keras models and as TensorFlow graphs."""
