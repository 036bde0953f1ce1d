"""Preprocessing: raw records to a prepared data set, with its transform graph."""
