"""Task heads with their losses and metrics, one package per kind of task."""
