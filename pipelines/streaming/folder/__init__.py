"""TODO pipelines/streaming/folder."""
