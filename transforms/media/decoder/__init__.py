"""Media decoders in child processes, with limits on time and memory."""
