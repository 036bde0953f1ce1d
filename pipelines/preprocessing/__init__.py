"""Preprocessing: from raw records to prepared data, with the feature graph that made them."""
