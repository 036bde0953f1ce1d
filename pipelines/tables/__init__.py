"""Tables of scores and rejected records: Arrow columns, passthrough values and file formats."""

from typing import Literal

ScoresFormat = Literal["parquet", "jsonl"]
"""File formats of scores."""
