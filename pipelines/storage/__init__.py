"""Storage: atomic writes and reads on local folders and Google Cloud Storage."""
