"""The tf.Transform graph: preprocessing function, raw examples and digest."""
