"""Training data: files to batches, with labels, sampling and a scan of each split."""
