"""Passthrough columns: the types that arbitrary values get, alike in every part of a run."""

import base64
import datetime
import decimal
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa

Kind = Literal["null", "bool", "int", "float", "string", "bytes", "date", "time", "utc", "json"]

TYPES: Mapping[Kind, pa.DataType] = {
    "null": pa.string(),
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "bytes": pa.binary(),
    "date": pa.date32(),
    "time": pa.timestamp("us"),
    "utc": pa.timestamp("us", "UTC"),
    "json": pa.string(),
}
"""The type of each kind of column. `null` holds no value, `json` holds JSON texts."""

_KIND = "kind"  # metadata of a field
_PREFIX = "extra_"


def field(name: str, values: Sequence[Any]) -> tuple[pa.Field, pa.Array]:
    """The narrowest column that holds the values.

    Booleans, integers of 64 bits, floats, texts, bytes, dates and times keep their type; integers
    among floats become floats; decimals become texts. Lists, mappings, larger integers and any
    other mix become JSON texts. A column without a value is one of texts.
    """
    plain = [_plain(value) for value in values]
    kind = merged(_kind(value) for value in plain)
    return field_of(name, kind), _array(plain, kind)


def kind_of(column: pa.Field) -> Kind | None:
    """The kind that `field` gave to a column; None where the column is not a passthrough one."""
    kind: Kind = (column.metadata or {}).get(_KIND.encode(), b"").decode()
    return kind or None


def merged(kinds: Iterable[Kind]) -> Kind:
    """The kind of a column whose parts are of these kinds."""
    found = set(kinds) - {"null"}
    if not found:
        return "null"
    if len(found) == 1:
        return found.pop()
    return "float" if found == {"int", "float"} else "json"


def unified(schemas: Sequence[pa.Schema]) -> list[pa.Field]:
    """The passthrough columns of a run whose parts have these schemas, sorted by name."""
    kinds: dict[str, list[Kind]] = {}
    for schema in schemas:
        for column in schema:
            kind = kind_of(column)
            if kind is not None:
                kinds.setdefault(column.name, []).append(kind)
    return [field_of(name, merged(kinds[name])) for name in sorted(kinds)]


def conformed(table: pa.Table, columns: Sequence[pa.Field]) -> pa.Table:
    """The table with these passthrough columns in place of its own."""
    own = [column.name for column in table.schema if kind_of(column) is not None]
    result = table.drop_columns(own)
    for column in columns:
        if column.name not in own:
            result = result.append_column(column, pa.nulls(len(table), column.type))
        elif table.schema.field(column.name).equals(column, check_metadata=True):
            result = result.append_column(column, table.column(column.name))
        else:
            values = table.column(column.name).to_pylist()
            was = kind_of(table.schema.field(column.name))
            kind = kind_of(column)
            if kind is None or was == "json":  # JSON stays JSON: nothing is wider
                array = pa.array(values, column.type)
            else:
                array = _array(values, kind)
            result = result.append_column(column, array)
    return result


def column_name(name: str, reserved: Collection[str]) -> str:
    """The column for a passthrough key: the key, or prefixed where a column of ours has its name.

    It depends on no other key, so all parts of a run agree; and different keys stay different.
    """
    bare = name
    while bare.startswith(_PREFIX) and bare not in reserved:
        bare = bare.removeprefix(_PREFIX)
    return f"{_PREFIX}{name}" if bare in reserved else name


def clean(value: str) -> str:
    """The text with what UTF-8 cannot hold (lone surrogates of JSON escapes) written out."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def field_of(name: str, kind: Kind) -> pa.Field:
    """A passthrough column of a kind."""
    return pa.field(name, TYPES[kind], metadata={_KIND: kind})


def _array(values: Sequence[Any], kind: Kind) -> pa.Array:
    if kind == "json":
        values = [None if value is None else _json(value) for value in values]
    elif kind == "float":
        values = [None if value is None else float(value) for value in values]
    # `safe` would refuse times finer than a microsecond.
    return pa.array(values, TYPES[kind], safe=False)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, decimal.Decimal):
        return str(value)
    return clean(value) if isinstance(value, str) else value


def _kind(value: Any) -> Kind:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(2**63) <= value < 2**63 else "json"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "string"
    if isinstance(value, bytes):
        return "bytes"
    if isinstance(value, datetime.datetime):
        return "time" if value.tzinfo is None else "utc"
    return "date" if isinstance(value, datetime.date) else "json"


def _json(value: Any) -> str:
    return clean(json.dumps(json_value(value), ensure_ascii=False, allow_nan=False))


def json_value(value: Any) -> Any:
    """The value as JSON has it: bytes as base64, times as ISO 8601, NaN and infinity as null."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): json_value(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(part) for part in value]
    return str(value)
