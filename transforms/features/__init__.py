"""TensorFlow graphs of media: image pixels, log-mel frames, token ids and subwords."""
