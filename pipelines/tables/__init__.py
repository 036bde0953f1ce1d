"""TODO pipelines/tables."""
