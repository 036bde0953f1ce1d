"""TODO pipelines/sources."""
