"""Hyperparameter search: space, trials, study and results."""
