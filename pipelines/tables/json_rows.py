"""Conversion between Arrow tables and rows of JSON values."""

import itertools
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from triad_ml.pipelines.tables import columns, passthrough, plain_values


def line(row: Mapping[str, Any]) -> str:
    """Encodes a row of `rows` as a line of JSON Lines, without the newline."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def rows(table: pa.Table) -> list[dict[str, Any]]:
    """Returns the rows of a table as dicts of JSON values."""
    values = [json_values(column.combine_chunks()) for column in table.columns]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*values, strict=True)]


def column(name: str, values: list[Any]) -> pa.Array:
    """Makes the column of a name from its JSON values."""
    if values and isinstance(values[0], dict):
        return columns.COLUMNS[columns.kind_of(values[0])].from_json(values)
    if name in ("modalities_used", "issues"):
        return pa.array(values, columns.TEXTS)
    if name == "id_int":
        return pa.array(values, pa.int64())
    return passthrough.field(name, values)[1]


def json_values(array: pa.Array) -> list[Any]:
    """Returns the values of a column as JSON values."""
    if pa.types.is_struct(array.type):
        names = [field.name for field in array.type]
        fields = [json_values(array.field(name)) for name in names]
        return [dict(zip(names, row, strict=True)) for row in zip(*fields, strict=True)]
    if pa.types.is_map(array.type):
        pairs = list(zip(array.keys.to_pylist(), json_values(array.items), strict=True))
        return [dict(pairs[a:b]) for a, b in itertools.pairwise(array.offsets.to_pylist())]
    if pa.types.is_list(array.type) and pa.types.is_struct(array.type.value_type):
        structs, edges = json_values(array.values), array.offsets.to_pylist()
        return [structs[a:b] for a, b in itertools.pairwise(edges)]
    if pa.types.is_float32(array.type):
        # The shortest digits that round to the same float32, not those of the nearest float64.
        digits = array.to_numpy(zero_copy_only=False).astype(str)
        return [plain_values.json_value(float(text)) for text in digits]
    return [plain_values.json_value(value) for value in array.to_pylist()]
