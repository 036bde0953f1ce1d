"""TODO pipelines/streaming/kafka."""
