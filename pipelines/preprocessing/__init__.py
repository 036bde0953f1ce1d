"""TODO pipelines/preprocessing."""
