"""TODO pipelines/report."""
