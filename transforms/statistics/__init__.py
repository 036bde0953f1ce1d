"""Statistics of records: measures, mergeable accumulators and a CombineFn."""
