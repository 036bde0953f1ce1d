"""Example specs, builders of data sets, programs, and the demo."""
