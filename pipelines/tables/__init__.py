"""TODO pipelines/tables."""

from typing import Literal

ScoresFormat = Literal["parquet", "jsonl"]
"""The formats of files that hold scores."""
