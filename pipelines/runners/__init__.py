"""TODO pipelines/runners."""
