"""What wires: pipelines, adapters and the command line."""
