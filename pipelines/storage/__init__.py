"""TODO pipelines/storage."""
