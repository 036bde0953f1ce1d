"""Rows of other programs -> raw records, by the rules that a JSON Lines row has."""

import os
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import apache_beam as beam
import numpy as np

from triad_ml.pipelines.sources import fields
from triad_ml.transforms.records.values import Position, RawRecord, Reason, Rejected

Row: TypeAlias = RawRecord | Mapping[str, Any]
"""A record as a program has it; a `beam.Row` or a named tuple is one too."""

SOURCE = "memory://rows/row"
"""File of a row that was read from none. It is no folder, so relative media have no home in it."""


def position(number: int = 0) -> Position:
    """Returns the position of a row that comes from no file."""
    return Position(SOURCE, number)


def read(row: object, place: Position, labels: Collection[str]) -> RawRecord | Rejected:
    """Makes a record of one row; the row itself stays as it is.

    Args:
        row: A `RawRecord` or `Rejected`, which is returned as it is, or a mapping, `beam.Row` or
            named tuple with the fields that a JSON Lines row has; see `fields.assemble`. A medium
            may also be a `pathlib.Path`, and a list an array of NumPy.
        place: Position of the row.
        labels: Label names that the spec's tasks read.
    """
    if isinstance(row, RawRecord | Rejected):
        return row
    given = _plain(row)
    if not isinstance(given, dict):
        why = f"{type(row).__name__} where a row should be"
        return fields.rejected(fields.RefusedRecordError(Reason.UNPARSABLE, why), place, "")
    try:
        if not all(isinstance(name, str) for name in given):
            raise fields.RefusedRecordError(Reason.UNPARSABLE, "a field's name is not a string")
        return fields.assemble(dict(given), place, labels, doubtful=True)
    except fields.RefusedRecordError as error:
        return fields.rejected(error, place, fields.row_digest(given))


def _plain(value: Any) -> Any:
    """The value as JSON has it, as far as other libraries have types of their own for that."""
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
