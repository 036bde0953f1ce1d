"""TODO pipelines/runtime."""
