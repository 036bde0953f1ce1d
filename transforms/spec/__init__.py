"""The spec, a YAML file of modalities, tasks, model, training and splits: a module per section."""
