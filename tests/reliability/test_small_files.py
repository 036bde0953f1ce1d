"""Small records files that expand to gigabytes: they are read to their end within 640 MiB."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests import records
from tests.reliability.forkserver import ROOT

CEILING = 5 * 2**27
PROGRAM = """
import collections, json, re, sys
from triad_ml.pipelines.sources import read, units
from triad_ml.transforms.records.values import Rejected
def peak():
    (kibibytes,) = re.findall(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
    return int(kibibytes) * 1024
counts, before = collections.Counter(), peak()
for path in sys.argv[1:]:
    for unit in units.plan(units.list_inputs([path])):
        for one in read.read(unit, ()):
            counts[str(one.reason) if isinstance(one, Rejected) else "read"] += 1
print(json.dumps([counts, peak() - before]))
"""


def refers(rows: int, text: str) -> pa.DictionaryArray:
    """So many times one text, stored once."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), [text])


def tables() -> dict[str, dict[str, object]]:
    """By name, columns that take gigabytes where they are unpacked as they come."""
    count = 500_000
    edges = pa.array([0, count, count], pa.int32())
    texts = pa.ListArray.from_arrays(edges, refers(count, "x" * 100_000))
    values = pa.ListArray.from_arrays(
        pa.array([0, 30_000_000, 30_000_000], pa.int32()), pa.nulls(30_000_000, pa.int8())
    )
    names = list(map(str, range(5000)))
    return {
        "rows.parquet": {"id": pa.array(["a"] * 300_000)},
        "texts.parquet": {"id": names, "note": refers(5000, "x" * 900_000)},
        "lists.parquet": {"id": ["a", "b"], "v": texts},
        "values.parquet": {"id": ["a", "b"], "v": values},
    }


@pytest.fixture(scope="module")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("small")
    paths = [
        records.write_table(folder / name, columns, compression="zstd")
        for name, columns in tables().items()
    ]
    assert sum(path.stat().st_size for path in paths) < 50_000
    lists = b'{"id": "a", "x": [' + b"[]," * (64 * 2**20 // 3) + b"[]]}"
    keys = {"id": "b", **{f"k{n}": n for n in range(10_000)}}
    lines = [lists, b'{"id": "c", "x": ' + b"[" * 2**19, json.dumps(keys).encode(), b'{"id": "d"}']
    return [*paths, records.write_lines(folder / "lines.jsonl", lines)]


def test_small_files_are_read_in_little_memory(small_files: list[Path]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, small_files)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (4 * CEILING,) * 2),
    )
    assert done.returncode == 0, done.stderr
    counts, taken = json.loads(done.stdout)
    assert counts == {"read": 300_000 + 5000 + 1 + 1 + 1, "too_large": 1 + 1 + 2, "unparsable": 1}
    assert 2**26 < taken < CEILING
