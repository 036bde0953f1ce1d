"""Conversion of rows of other programs to raw records, by the rules of JSON Lines rows."""

import os
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import apache_beam as beam
import numpy as np

from triad_ml.pipelines.sources import fields
from triad_ml.transforms.records.values import Position, RawRecord, Reason, Rejected

Row: TypeAlias = RawRecord | Mapping[str, Any]
"""Record as a program holds it; it may also be a `beam.Row` or a named tuple."""

SOURCE = "memory://rows/row"
"""URI for rows that come from no file. No folder belongs to it, so relative media are not found."""


def position(number: int = 0) -> Position:
    """Returns the position of a row that comes from no file."""
    return Position(SOURCE, number)


def read(row: object, place: Position, labels: Collection[str]) -> RawRecord | Rejected:
    """Makes a record of one row, without changing the row.

    Args:
        row: A `RawRecord` or `Rejected`, which is returned unchanged, or a mapping, `beam.Row` or
            named tuple with the fields of a JSON Lines row, see `fields.assemble`. A medium may
            also be a `pathlib.Path`, and a list may be a NumPy array.
        place: Position of the row.
        labels: Names of the labels that the spec's tasks read.
    """
    if isinstance(row, RawRecord | Rejected):
        return row
    plain = _plain(row)
    if not isinstance(plain, dict):
        why = f"{type(row).__name__} where a row should be"
        return fields.rejected(fields.RefusedRecordError(Reason.UNPARSABLE, why), place, "")
    try:
        if not all(isinstance(name, str) for name in plain):
            raise fields.RefusedRecordError(Reason.UNPARSABLE, "a field's name is not a string")
        return fields.assemble(dict(plain), place, labels, doubtful=True)
    except fields.RefusedRecordError as error:
        return fields.rejected(error, place, fields.row_digest(plain))


def _plain(value: Any) -> Any:
    """Converts types of other libraries to those of plain Python: mappings, lists, bytes, paths."""
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, beam.Row) or (isinstance(value, tuple) and hasattr(value, "_asdict")):
        return {name: _plain(part) for name, part in value._asdict().items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return bytes(value) if isinstance(value, bytearray | memoryview) else value
