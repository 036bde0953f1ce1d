"""Shared parts of benchmarks over several seeds: writing of records, and a table of medians."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Figures = dict[str, float]


def write_records(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes records as JSON lines, unless the file has exactly these lines already.

    A file that is written again would count as changed, and be preprocessed again.

    Args:
        path: Path of the records file.
        rows: Records in Triad's format.
    """
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if not path.is_file() or path.read_text(encoding="utf-8") != lines:
        path.write_text(lines, encoding="utf-8")


def show(name: str, measured: Sequence[Figures]) -> None:
    """Prints median and range of each figure."""
    print(f"{name}, {len(measured)} seeds: median (lowest to highest)")
    for key in measured[0]:
        values = [figures[key] for figures in measured]
        print(f"  {key:24}{statistics.median(values):9.3f} ({min(values):.3f}-{max(values):.3f})")
