"""Watched folders: source of arriving files, and sinks of rows by window."""
