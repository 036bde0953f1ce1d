"""TODO pipelines/scoring."""
