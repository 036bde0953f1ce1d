"""TODO pipelines/sources/columnar."""
