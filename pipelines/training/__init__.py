"""Training of a model on preprocessed data, import of encoder weights, hyperparameter search."""
