"""Parquet: footers and pages checked before Arrow reads them, columns to values."""
