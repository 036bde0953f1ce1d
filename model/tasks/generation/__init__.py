"""Text generation tasks: decoder head, beam search and metrics."""
