"""TODO pipelines/streaming/jobs."""
