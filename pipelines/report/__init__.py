"""The report: one self-contained HTML page on a model and a published run."""
