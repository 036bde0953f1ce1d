"""Training data: batches from files, sampling of records, and a scan of each split."""
