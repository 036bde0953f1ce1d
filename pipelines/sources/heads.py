"""Heads of local records files, read within limits and without importing Beam or TensorFlow."""

import csv
import dataclasses
import glob
import io
import itertools
import json
import os
import stat
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

SUFFIXES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".csv", ".csv.gz", ".parquet")
"""Suffixes of files whose heads are read; TFRecord is left out, since it needs TensorFlow."""
MOST_FILES = 8
"""Largest number of files whose heads are read."""
HEAD_BYTES = 64 * 2**10
"""Number of bytes of a head, inflated."""
FOOTER_BYTES = 2**20
"""Size in bytes of the largest footer of a Parquet file that is read."""

_GZIP = 31  # Value of `wbits` for the gzip format in zlib.
_MARK = b"\xef\xbb\xbf"


@dataclasses.dataclass(frozen=True)
class Head:
    """Head of one records file: its columns and first records.

    Attributes:
        path: Path of the file.
        columns: Names of all columns if the format has a header or a schema; else None.
        rows: Complete records at the beginning; () for Parquet.
        broken: Number of lines at the beginning that are no records.
        whole: True if these are all records of the file.
        label_columns: Names of the fields of a column `labels` with a fixed structure; None if
            records may have others.
    """

    path: str
    columns: tuple[str, ...] | None
    rows: tuple[Mapping[str, Any], ...] = ()
    broken: int = 0
    whole: bool = False
    label_columns: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Heads:
    """Heads of the files that match some patterns.

    Attributes:
        heads: Heads of the files that could be read.
        complete: True if these are all files that match the patterns.
        remote: Patterns that name no local files.
    """

    heads: tuple[Head, ...]
    complete: bool
    remote: tuple[str, ...]


def read(patterns: Sequence[str], within: str | None = None) -> Heads:
    """Reads the heads of at most `MOST_FILES` local files.

    Only regular files are read. Files that cannot be read or parsed are skipped here; the command
    reports them later.

    Args:
        patterns: Patterns of records files, see `units.list_inputs`.
        within: Folder into which others put files; links that lead out of it are not followed.
    """
    remote = tuple(pattern for pattern in patterns if "://" in pattern)
    local = [pattern for pattern in patterns if "://" not in pattern]
    paths = list(dict.fromkeys(path for pattern in local for path in _matching(pattern)))
    if within is not None:
        root = os.path.realpath(within)
        paths = [path for path in paths if os.path.realpath(path).startswith(f"{root}/")]
    heads = [head for path in paths[:MOST_FILES] if (head := _head(path)) is not None]
    # In Beam, `**` also matches files in folders below, which are not read here.
    recursive = any("**" in pattern for pattern in local)
    complete = len(heads) == len(paths) and not remote and not recursive
    return Heads(tuple(heads), complete, remote)


def _matching(pattern: str) -> Iterator[str]:
    if os.path.exists(pattern):
        return iter((pattern,))
    paths = glob.iglob(pattern, include_hidden=True)  # `**` means `*` here: no tree is walked.
    return itertools.islice(paths, MOST_FILES + 1)


def _head(path: str) -> Head | None:
    """Reads the head of a file; None if it cannot be read or its format has none."""
    name = path.lower()
    suffix = next((known for known in SUFFIXES if name.endswith(known)), None)
    if suffix is None:
        return None
    try:
        with open(path, "rb", opener=_open) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            if suffix == ".parquet":
                return _of_parquet(path, file)
            content, whole = _beginning(file, suffix.endswith(".gz"))
    except (OSError, zlib.error):
        return None
    return (_of_csv if ".csv" in suffix else _of_lines)(path, content, whole)


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # Opening a pipe would block forever.


def _beginning(file: BinaryIO, is_gzip: bool) -> tuple[bytes, bool]:
    """Reads at most `HEAD_BYTES` of the content; returns them, and True if that is all of it."""
    stored = file.read(HEAD_BYTES + 1)
    if not is_gzip:
        return stored[:HEAD_BYTES], len(stored) <= HEAD_BYTES
    inflater = zlib.decompressobj(_GZIP)
    content = inflater.decompress(stored, HEAD_BYTES)
    ended = inflater.eof and not inflater.unused_data and len(stored) <= HEAD_BYTES
    return content, ended


def _of_lines(path: str, content: bytes, whole: bool) -> Head:
    lines = content.removeprefix(_MARK).split(b"\n")
    rows = []
    broken = 0
    for line in lines if whole else lines[:-1]:
        if not line or line.isspace():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            rows.append(row)
        else:
            broken += 1
    return Head(path, None, tuple(rows), broken, whole)


def _of_csv(path: str, content: bytes, whole: bool) -> Head | None:
    text = content.removeprefix(_MARK).decode(errors="replace")
    table: list[list[str]] = []
    try:
        for cells in csv.reader(io.StringIO(text, newline="")):
            table.append(cells)
    except csv.Error:
        whole = False
    if not whole:
        table = table[:-1]  # The last row may be cut off.
    if not table or any("\0" in name for name in table[0]):  # UTF-16, which the command reports.
        return None
    columns, *rest = table
    rows = [dict(zip(columns, map(_cell, cells), strict=False)) for cells in rest if cells]
    return Head(path, tuple(columns), tuple(rows), 0, whole)


def _cell(cell: str) -> Any:
    """Converts a cell: an empty one to None; parses JSON objects and lists, which may be labels."""
    if cell[:1] in ("[", "{"):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    return cell or None


def _of_parquet(path: str, file: BinaryIO) -> Head | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 8))
    ending = file.read(8)
    if ending[4:] != b"PAR1" or int.from_bytes(ending[:4], "little") > FOOTER_BYTES:
        return None
    file.seek(0)
    try:
        schema = pq.ParquetFile(file).schema_arrow
    except (pa.ArrowException, OSError):
        return None
    named = None
    if "labels" in schema.names and pa.types.is_struct(schema.field("labels").type):
        named = tuple(field.name for field in schema.field("labels").type)
    return Head(path, tuple(schema.names), label_columns=named)
