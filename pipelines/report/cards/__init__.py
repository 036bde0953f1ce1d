"""Cards of the report: records with their labels and predictions, by kind of task."""
