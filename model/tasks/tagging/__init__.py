"""Tagging tasks: BIO tags, head with a CRF, and span metrics."""
