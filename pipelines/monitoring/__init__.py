"""Statistics of prepared data and of runs: tables, a page, TensorFlow Metadata, and drift."""
