"""TODO pipelines/streaming/messages."""
