"""Checks of `triad doctor`: they report what would make a run fail, before it is submitted."""
