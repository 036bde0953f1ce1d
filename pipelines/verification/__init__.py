"""Verification: parity of training and scoring, signatures, releases, digest comparison."""
