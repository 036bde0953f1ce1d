"""File formats of tables: Parquet and JSON Lines, with equal bytes for equal tables."""

import json
from collections.abc import Sequence
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq

from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.tables import ScoresFormat, json_rows
from triad_ml.transforms.errors import StorageError

FORMATS: tuple[ScoresFormat, ...] = get_args(ScoresFormat)


def write(table: pa.Table, path: str, format: ScoresFormat) -> None:
    """Writes a table whole or not at all; equal tables have equal bytes."""
    atomic.put(path, encode(table, format))


def read(path: str) -> pa.Table:
    """Reads a table that `write` wrote; the suffix of the path names the format.

    JSON Lines hold no types: bytes and times are read as texts, and a table without rows has no
    columns.

    Raises:
        StorageError: The file is missing, or is not a whole file of its format.
    """
    format = format_of(path)
    content = atomic.read_bytes(path)
    try:
        return decode(content, format)
    except (pa.ArrowException, ValueError) as error:
        raise StorageError(
            f"{path}: not a whole .{format} file; restore it or run again with a new output"
        ) from error


def format_of(path: str) -> ScoresFormat:
    """Returns the format of a part, by the suffix of its path.

    Raises:
        StorageError: The suffix is that of no format.
    """
    for format in FORMATS:
        if path.endswith(f".{format}"):
            return format
    raise StorageError(f"{path}: neither .parquet nor .jsonl; name a part that a run wrote")


def encode(table: pa.Table, format: ScoresFormat) -> bytes:
    """Encodes a table as the content of a file; equal tables have equal bytes."""
    if format == "jsonl":
        return "".join(f"{line}\n" for line in map(json_rows.line, json_rows.rows(table))).encode(
            "utf-8"
        )
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.combine_chunks(),
        sink,
        compression="zstd",
        compression_level=3,
        row_group_size=1 << 16,
        version="2.6",
        data_page_version="1.0",
        use_dictionary=True,
        write_statistics=True,
        store_schema=True,
    )
    return bytes(sink.getvalue())


def decode(content: bytes, format: ScoresFormat, columns: Sequence[str] | None = None) -> pa.Table:
    """Decodes what `encode` returned, see `read`: all columns, or only those of `columns`.

    Raises:
        ValueError: The content is no file of the format (JSON Lines).
        ArrowException: The content is no file of the format (Parquet).
    """
    if format == "parquet":
        return pq.read_table(pa.BufferReader(content), columns=columns)
    rows = [json.loads(line) for line in content.decode("utf-8").split("\n") if line]
    names = columns or list(rows[0] if rows else ())
    return pa.table({name: json_rows.column(name, [row[name] for row in rows]) for name in names})
