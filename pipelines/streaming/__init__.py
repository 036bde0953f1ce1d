"""Sources, sinks and memory of the stream; `pipelines.stream` puts them together."""
