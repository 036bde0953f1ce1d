"""Published scores as one file: Parquet, CSV or JSON Lines, part after part."""

import contextlib
import csv
import io
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from triad_ml.pipelines.publishing import publish, reading
from triad_ml.pipelines.publishing.config import ExportConfig
from triad_ml.pipelines.storage import atomic, local
from triad_ml.pipelines.tables import formats, json_rows
from triad_ml.transforms.errors import OptionsError

_log = logging.getLogger(__name__)

_Write = Callable[[pa.Table], object]


def run(config: ExportConfig) -> str:
    """Writes the scores that count to one file, whole or not at all.

    Each part is checked against the manifest and held in memory alone. The rows stand in the order
    of the parts. Parquet and JSON Lines have the columns of the parts. In CSV a struct is one
    column for each of its fields, such as `category.label` and `category.score`; lists and
    distributions are JSON texts, and a missing value is an empty cell.

    Returns:
        The path of the file.

    Raises:
        OptionsError: Nothing is published, or the file exists.
        DamagedError: A part is missing or is not what the run wrote; no file is written.
        StorageError: The file cannot be written.
    """
    if os.path.isdir(config.output):
        raise OptionsError(f"{config.output}: is a folder; name a file in it")
    if os.path.lexists(config.output) and not config.overwrite:
        raise _exists(config.output)
    found_run, manifest = publish.counting(config.scores, config.date)
    schema, tables = reading.tables(found_run, manifest)
    rows = 0
    with atomic.explained(config.output):
        try:
            with local.writing(config.output, config.overwrite) as file:
                with _writer(config.output, file, schema) as write:
                    for table in tables:
                        write(table)
                        rows += len(table)
        except FileExistsError as error:
            raise _exists(config.output) from error
    _log.info("%s: %d scores of %s, run %s", config.output, rows, manifest.date, manifest.run_id)
    return config.output


def _exists(path: str) -> OptionsError:
    return OptionsError(f"{path}: is there already; name another file, or give --overwrite")


@contextlib.contextmanager
def _writer(path: str, file: BinaryIO, schema: pa.Schema) -> Iterator[_Write]:
    if path.endswith(".parquet"):
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            yield writer.write_table
    elif path.endswith(".jsonl"):
        yield lambda table: file.write(formats.encode(table, "jsonl"))
    else:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(_header(schema))
        yield lambda table: rows.writerows(_csv_rows(table))
        text.detach()  # flushes it, and leaves the file open


def _header(schema: Sequence[pa.Field]) -> list[str]:
    names = []
    for field in schema:
        if pa.types.is_struct(field.type):
            names += [f"{field.name}.{name}" for name in _header(list(field.type))]
        else:
            names.append(field.name)
    return names


def _csv_rows(table: pa.Table) -> Iterator[tuple[str, ...]]:
    columns = [cells for column in table.columns for cells in _cells(column.combine_chunks())]
    return zip(*columns, strict=True)


def _cells(array: pa.Array) -> list[list[str]]:
    """The texts of a column, or of each field of a struct."""
    if pa.types.is_struct(array.type):
        return [cells for field in array.type for cells in _cells(array.field(field.name))]
    return [[_cell(value) for value in json_rows.json_values(array)]]


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
