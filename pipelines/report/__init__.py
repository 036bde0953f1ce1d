"""Report: one self-contained HTML page about a model and a published run."""
