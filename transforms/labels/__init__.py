"""Labels as records give them, parsed into values; without TensorFlow."""
