"""TODO pipelines/training/search."""
