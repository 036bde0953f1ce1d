"""Task heads with their losses and metrics, one package for each kind of task."""
