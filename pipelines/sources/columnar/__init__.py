"""Parquet reader: footers and pages are checked before Arrow reads them."""
