"""Tagging tasks: BIO tags, CRF head and span metrics."""
