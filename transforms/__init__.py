"""Processing of records up to features and labels: pure functions, and thin PTransforms."""
