"""The beginnings of local records files, read within bounds and without a heavy import."""

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
"""The formats whose heads are read: TFRecord needs TensorFlow."""
MOST_FILES = 8
HEAD_BYTES = 64 * 2**10
"""So much of a file's beginning is looked at, inflated."""
FOOTER_BYTES = 2**20
"""A Parquet file whose footer is larger is not looked at."""

_GZIP = 31  # zlib's name of the gzip format
_MARK = b"\xef\xbb\xbf"


@dataclasses.dataclass(frozen=True)
class Head:
    """What the beginning of one records file shows.

    Attributes:
        path: The file.
        columns: Names of all columns, where the format has a header or a schema; else None.
        rows: The complete records at the beginning; of Parquet none.
        broken: Lines among them that are no records.
        whole: Whether these are all of its records.
        label_columns: Names in a column `labels` of a fixed structure; None where records may name
            others.
    """

    path: str
    columns: tuple[str, ...] | None
    rows: tuple[Mapping[str, Any], ...] = ()
    broken: int = 0
    whole: bool = False
    label_columns: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Heads:
    """What was looked at.

    Attributes:
        heads: Of the files that could be.
        complete: Whether these are all files that the patterns name.
        remote: The patterns that name no local files.
    """

    heads: tuple[Head, ...]
    complete: bool
    remote: tuple[str, ...]


def read(patterns: Sequence[str], within: str | None = None) -> Heads:
    """Reads the heads of at most `MOST_FILES` local files.

    What is no regular file is not opened. What cannot be read or parsed is left to the command.

    Args:
        patterns: Of records files, see `units.list_inputs`.
        within: A folder that others put files into; a link that leads out of it is not followed.
    """
    remote = tuple(pattern for pattern in patterns if "://" in pattern)
    local = [pattern for pattern in patterns if "://" not in pattern]
    paths = list(dict.fromkeys(path for pattern in local for path in _matching(pattern)))
    if within is not None:
        root = os.path.realpath(within)
        paths = [path for path in paths if os.path.realpath(path).startswith(f"{root}/")]
    heads = [head for path in paths[:MOST_FILES] if (head := _head(path)) is not None]
    # Beam's ** crosses folders.
    complete = len(heads) == len(paths) and not remote and not any("**" in one for one in local)
    return Heads(tuple(heads), complete, remote)


def _matching(pattern: str) -> Iterator[str]:
    if os.path.exists(pattern):
        return iter((pattern,))
    found = glob.iglob(pattern, include_hidden=True)  # ** is as *: no tree is walked
    return itertools.islice(found, MOST_FILES + 1)


def _head(path: str) -> Head | None:
    """The head of a file; None where it shows nothing."""
    name = path.lower()
    suffix = next((one for one in SUFFIXES if name.endswith(one)), None)
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
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe would block for ever


def _beginning(file: BinaryIO, is_gzip: bool) -> tuple[bytes, bool]:
    """At most `HEAD_BYTES` of the content, and whether that is all of it."""
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
    found: list[list[str]] = []
    try:
        for cells in csv.reader(io.StringIO(text, newline="")):
            found.append(cells)
    except csv.Error:
        whole = False
    if not whole:
        found = found[:-1]  # cut off
    if not found or any("\0" in name for name in found[0]):  # UTF-16, of which the command tells
        return None
    columns, *rest = found
    rows = [dict(zip(columns, map(_cell, cells), strict=False)) for cells in rest if cells]
    return Head(path, tuple(columns), tuple(rows), 0, whole)


def _cell(cell: str) -> Any:
    """An empty cell is nothing; an object may hold labels, and a list be one."""
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
