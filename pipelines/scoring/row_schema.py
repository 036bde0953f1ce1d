"""Scored and rejected records as `beam.Row`s with a schema: the columns of published tables."""

import collections
import dataclasses
import functools
import itertools
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.typehints.row_type import RowTypeConstraint

from triad_ml.pipelines.tables import plain_values
from triad_ml.pipelines.tables import rows as tables_rows
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.records import columns as names
from triad_ml.transforms.records.values import Rejected, Scored

_NULLABLE = frozenset({"id_int", names.OTHERS})
_TYPES: Mapping[pa.DataType, Any] = {
    pa.string(): str,
    pa.int64(): np.int64,
    pa.int32(): np.int32,
    pa.float32(): np.float32,
}


def scored_type(settings: ScoreSchema) -> RowTypeConstraint:
    """Returns the type of `scored_rows`, for `with_output_types`."""
    return _row_type(_scored_table((), settings).schema)


def scored_rows(scored: Sequence[Scored], settings: ScoreSchema) -> list[beam.Row]:
    """Returns a row for each scored record, in the same order.

    Rows have the columns of `settings.score_table`, with nested rows for structs. Fields that the
    model does not use are in `names.OTHERS`, as one JSON object, since a schema must be known
    before the first record is read.
    """
    return _rows(_scored_table(scored, settings))


def rejected_type(settings: ScoreSchema) -> RowTypeConstraint:
    """Returns the type of `rejected_rows`, for `with_output_types`."""
    return _row_type(tables_rows.rejected_table((), settings.provenance).schema)


def rejected_rows(rejected: Sequence[Rejected], settings: ScoreSchema) -> list[beam.Row]:
    """Returns a row for each rejected record, in the same order; each column is a string."""
    return _rows(tables_rows.rejected_table(rejected, settings.provenance))


def _scored_table(scored: Sequence[Scored], settings: ScoreSchema) -> pa.Table:
    bare = settings.score_table([dataclasses.replace(row, extra={}) for row in scored])
    keys = {key for row in scored for key in row.extra}
    others = tables_rows.other_values(scored, keys)
    texts = [None if values is None else plain_values.json_text(values) for values in others]
    return bare.append_column(names.OTHERS, pa.array(texts, pa.string()))


def _row_type(fields: pa.Schema | pa.StructType) -> RowTypeConstraint:
    named = [
        (field.name, Optional[kind] if field.name in _NULLABLE else kind)  # noqa: UP045 - Beam
        for field, kind in ((field, _type(field.type)) for field in fields)
    ]
    return RowTypeConstraint.from_fields(named)


def _type(kind: pa.DataType) -> Any:
    if pa.types.is_struct(kind):
        return _row_type(kind)
    if pa.types.is_map(kind):
        return typing.Mapping[_type(kind.key_type), _type(kind.item_type)]  # type: ignore[misc]
    if pa.types.is_list(kind):
        return typing.Sequence[_type(kind.value_type)]  # type: ignore[misc]
    return _TYPES[kind]


def _rows(table: pa.Table) -> list[beam.Row]:
    columns = [_values(column.combine_chunks()) for column in table.columns]
    names_of = table.column_names
    return [beam.Row(**dict(zip(names_of, row, strict=True))) for row in zip(*columns, strict=True)]


def _values(array: pa.Array) -> list[Any]:
    if pa.types.is_struct(array.type):
        fields = tuple(field.name for field in array.type)
        return list(map(_nested(fields)._make, zip(*map(_values, array.flatten()), strict=True)))
    if pa.types.is_map(array.type):
        return [dict(pairs) for pairs in array.to_pylist()]
    if pa.types.is_list(array.type) and pa.types.is_struct(array.type.value_type):
        edges = array.offsets.to_pylist()
        structs = _values(array.values)
        return [structs[start:end] for start, end in itertools.pairwise(edges)]
    return list(array.to_pylist())


@functools.cache
def _nested(fields: tuple[str, ...]) -> Any:
    """Returns the type of a nested row, a named tuple: pyarrow makes no struct of a `beam.Row`."""
    parent = collections.namedtuple("NestedRow", fields)  # type: ignore[misc]
    return type("NestedRow", (parent,), {"__slots__": (), "__reduce__": _reduced})


def _reduced(row: Any) -> tuple[Any, tuple[tuple[str, ...], tuple[Any, ...]]]:
    return _rebuilt, (row._fields, tuple(row))


def _rebuilt(fields: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    return _nested(fields)._make(values)
