"""Text generation tasks: transformer decoder, head, beam search and metrics."""
