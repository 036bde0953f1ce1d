"""Training: optimizer steps, the loop, checkpoints, augmentation and progress."""
