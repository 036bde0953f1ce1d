"""Specs, builders of data sets, and the demo."""
