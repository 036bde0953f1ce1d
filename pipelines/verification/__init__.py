"""TODO pipelines/verification."""
