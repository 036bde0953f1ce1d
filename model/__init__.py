"""The Keras model: towers, fusion, task heads, training, evaluation and serving."""
