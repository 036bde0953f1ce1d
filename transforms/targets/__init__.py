"""TensorFlow graphs of labels: class ids, BIO tags and target tokens."""
