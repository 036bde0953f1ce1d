"""The spec: a YAML file of modalities, tasks, model, training and splits, one module a section."""
