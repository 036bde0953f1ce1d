"""Command line `triad`, with one module for each group of commands."""
