"""Training on prepared data, import of encoder weights, and hyperparameter search."""
