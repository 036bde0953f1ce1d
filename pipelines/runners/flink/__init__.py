"""TODO pipelines/runners/flink."""
