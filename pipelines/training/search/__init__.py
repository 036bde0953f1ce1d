"""Hyperparameter search: search space, trials, study and results."""
