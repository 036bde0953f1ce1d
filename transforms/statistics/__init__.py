"""Statistics of records: measures, mergeable accumulators, a CombineFn and drift."""
