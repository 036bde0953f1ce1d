"""TODO pipelines/publishing."""
