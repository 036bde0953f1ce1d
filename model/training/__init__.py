"""Training: optimizer steps, the training loop, checkpoints and progress display."""
