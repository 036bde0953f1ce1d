"""Passthrough columns: the types that arbitrary values get, alike in every part of a run."""

import datetime
import decimal
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa

from triad_ml.pipelines.tables import plain_values
from triad_ml.transforms.records import columns as names

Kind = Literal[
    "null",
    "bool",
    "int",
    "long",
    "float",
    "number",
    "string",
    "bytes",
    "date",
    "time",
    "utc",
    "json",
]

TYPES: Mapping[Kind, pa.DataType] = {
    "null": pa.string(),
    "bool": pa.bool_(),
    "int": pa.int64(),
    "long": pa.int64(),
    "float": pa.float64(),
    "number": pa.string(),
    "string": pa.string(),
    "bytes": pa.binary(),
    "date": pa.date32(),
    "time": pa.timestamp("us"),
    "utc": pa.timestamp("us", "UTC"),
    "json": pa.string(),
}
"""The type of each kind of column.

`null` holds no value, `long` integers of which some is no float64, `number` exact decimals as
texts, `json` JSON texts.
"""

_NUMBERS = frozenset({"int", "long", "float", "number"})
_TEXTS = frozenset({"string", "bytes", "date", "time", "utc"})
"""The kinds whose values are texts in JSON as well."""

_KIND = b"kind"  # metadata of a field
_KINDS = b"kinds"
_KEY = b"key"

MOST_COLUMNS = 1000
"""Passthrough columns of a table; what further keys hold goes into the column `names.OTHERS`."""

TOO_MANY = (
    f"the records have over {MOST_COLUMNS} passthrough keys: further ones are JSON in the column "
    f"{names.OTHERS!r}"
)


def field(name: str, values: Sequence[Any], key: str | None = None) -> tuple[pa.Field, pa.Array]:
    """The narrowest column that holds each of the values as it is.

    Booleans, integers of 64 bits, floats, texts, bytes, dates and times keep their type; integers
    among floats become floats where all of them survive that. Otherwise numbers, decimals and
    larger integers become their exact decimal texts; dates, times and bytes among texts become
    texts (ISO 8601, base64), and so do durations, times of day and UUIDs. Lists, mappings and any
    other mix become JSON texts. NaN is no value. A column without a value is one of texts.

    Args:
        name: Of the column.
        values: One a row.
        key: Of the record, where that is not the column's name.
    """
    own = [plain_values.plain(value) for value in values]
    kinds = {_kind(value) for value in own}
    kind = merged(kinds)
    return _field(name, kind, kinds, key), _array(own, kind)


def kind_of(column: pa.Field) -> Kind | None:
    """The kind that `field` gave to a column; None where the column is not a passthrough one."""
    kind: Kind = (column.metadata or {}).get(_KIND, b"").decode()
    return kind or None


def kinds_of(column: pa.Field) -> tuple[str, ...]:
    """The kinds of the values of a passthrough column, sorted; none where it has no value."""
    said: str = (column.metadata or {}).get(_KINDS, b"").decode()
    return tuple(said.split(",")) if said else ()


def key_of(column: pa.Field) -> str | None:
    """The key that records have for a passthrough column, where its name is another."""
    key: bytes | None = (column.metadata or {}).get(_KEY)
    return None if key is None else key.decode()


def merged(kinds: Iterable[Kind]) -> Kind:
    """The kind of a column whose parts are of these kinds."""
    found = set(kinds) - {"null"}
    if not found:
        return "null"
    if len(found) == 1:
        return found.pop()
    if found == {"int", "long"}:
        return "long"
    if found == {"int", "float"}:
        return "float"
    if found <= _NUMBERS:
        return "number"
    return "string" if found <= _TEXTS else "json"


def unified(schemas: Sequence[pa.Schema]) -> list[pa.Field]:
    """The passthrough columns of a run whose parts have these schemas, sorted by name.

    Where there are more than `MOST_COLUMNS`, those in the most parts remain, and `names.OTHERS`.
    """
    found: dict[str, list[pa.Field]] = {}
    for schema in schemas:
        for column in schema:
            if kind_of(column) is not None:
                found.setdefault(column.name, []).append(column)
    named = kept({name: len(each) for name, each in found.items() if name != names.OTHERS})
    columns = {name: _unified(found[name]) for name in found if name in named | {names.OTHERS}}
    if len(columns) < len(found):
        columns[names.OTHERS] = _field(names.OTHERS, "json", ["json"], None)
    return [columns[name] for name in sorted(columns)]


def kept(counts: Mapping[str, int], most: int = MOST_COLUMNS) -> frozenset[str]:
    """The names that get columns: the most frequent ones, of equal ones the first by name."""
    if len(counts) <= most:
        return frozenset(counts)
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    return frozenset(ranked[:most])


def _folded(table: pa.Table, columns: Sequence[pa.Field]) -> pa.Table:
    """The table with what is to have no column in `names.OTHERS`."""
    wanted = {column.name for column in columns}
    given = {column.name: kind_of(column) for column in table.schema}
    leaving = [name for name, kind in given.items() if kind is not None and name not in wanted]
    if not leaving:
        return table
    rows: list[dict[str, Any]] = [{} for _ in range(len(table))]
    if names.OTHERS in given:
        texts = table.column(names.OTHERS).to_pylist()
        rows = [json.loads(text) if text else {} for text in texts]
        leaving.append(names.OTHERS)
    for name in leaving:
        values = table.column(name).to_pylist() if name != names.OTHERS else ()
        for row, value in zip(rows, values, strict=False):
            if value is not None:
                row[name] = json.loads(value) if given[name] == "json" else value
    column, array = field(names.OTHERS, [row or None for row in rows])
    return table.drop_columns(leaving).append_column(column, array)


def conformed(table: pa.Table, columns: Sequence[pa.Field]) -> pa.Table:
    """The table with these passthrough columns in place of its own."""
    table = _folded(table, columns)
    own = {column.name: column for column in table.schema if kind_of(column) is not None}
    result = table.drop_columns(list(own))
    for column in columns:
        if column.name not in own:
            result = result.append_column(column, pa.nulls(len(table), column.type))
            continue
        was, kind = kind_of(own[column.name]), kind_of(column)
        array = table.column(column.name)
        if kind is not None and was != kind and was != "json":  # nothing is wider than JSON
            values = array.to_pylist()
            if was == "number":
                values = [None if one is None else plain_values.NumberText(one) for one in values]
            array = _array(values, kind)
        result = result.append_column(column, array)
    return result


def notices(columns: Iterable[pa.Field]) -> list[str]:
    """What a person must know of a run's passthrough columns, one line each."""
    said = []
    for column in columns:
        if column.name == names.OTHERS:
            said.append(TOO_MANY)
            continue
        key, kinds = key_of(column), kinds_of(column)
        if key is not None:
            said.append(f"column {key!r} passes through as {column.name!r}: its name is taken")
        kind = kind_of(column)
        if kind in _SAID and set(kinds) - {kind}:
            said.append(
                f"column {column.name!r} has values of several kinds ({', '.join(kinds)}): it is "
                f"{_SAID[kind]}"
            )
    return said


_SAID: Mapping[Kind | None, str] = {
    "number": "one of texts, exact decimals",
    "string": "one of texts, with times as ISO 8601 and bytes as base64",
    "json": "one of JSON texts",
}


def column_name(name: str, reserved: Collection[str] = ()) -> str:
    """The column for a passthrough key: the key, or prefixed where that name is not free.

    That is where a column of ours or a folder has the name, in whatever case, where it is one of a
    task's fields as CSV names them, `category.label`, or where tools take it for something else.
    It depends on no other key, so all parts of a run agree; and different keys stay different.

    Args:
        name: The key.
        reserved: Further names that are taken, such as those of tasks, in lower case.
    """
    bare = name.lower()
    while bare.startswith(names.EXTRA_PREFIX):
        bare = bare.removeprefix(names.EXTRA_PREFIX)
    taken = names.is_taken(bare) or bare.partition(".")[0] in reserved
    return f"{names.EXTRA_PREFIX}{name}" if taken else name


def text_of(value: Any) -> str | None:
    """A value as a text column that stands for any kind has it; None where there is none."""
    own = plain_values.plain(value)
    kind = _kind(own)
    if kind == "null":
        return None
    if kind in _NUMBERS:
        return plain_values.number_text(own)
    return plain_values.text(own) if kind in _TEXTS else plain_values.json_text(own)


def json_of(value: Any) -> Any:
    """A value as JSON has it in a column of its own; see `field`."""
    own = plain_values.plain(value)
    kind = _kind(own)
    if kind in ("number", "json"):
        return _WRITERS[kind](own)
    return plain_values.json_value(own)


def fits(value: Any, kind: Kind) -> bool:
    """Whether a column of this kind takes a value without changing it or its own type."""
    return bool(TYPES[merged((kind, _kind(plain_values.plain(value))))] == TYPES[kind])


def array_of(values: Sequence[Any], kind: Kind) -> pa.Array:
    """A column of this kind, of values that each `fits`; one of texts has `text_of` each."""
    if kind in ("string", "number"):
        return pa.array([text_of(value) for value in values], TYPES[kind])
    return _array([plain_values.plain(value) for value in values], kind)


def field_of(name: str, kind: Kind) -> pa.Field:
    """A passthrough column of a kind."""
    return _field(name, kind, (kind,), None)


def _field(name: str, kind: Kind, kinds: Iterable[str], key: str | None) -> pa.Field:
    said = ",".join(sorted(set(kinds) - {"null"}))
    metadata = {_KIND: kind, _KINDS: said, **({_KEY: key} if key is not None else {})}
    return pa.field(name, TYPES[kind], metadata=metadata)


def _unified(columns: Sequence[pa.Field]) -> pa.Field:
    kinds = {kind for column in columns for kind in kinds_of(column)}
    kind = merged(kind for kind in map(kind_of, columns) if kind is not None)
    return _field(columns[0].name, kind, kinds, key_of(columns[0]))


def _array(values: Sequence[Any], kind: Kind) -> pa.Array:
    """The column of plain values, or of those of a narrower column."""
    write = _WRITERS.get(kind)
    if write is not None:
        values = [None if value is None else write(value) for value in values]
    return pa.array(values, TYPES[kind])


def _kind(value: Any) -> Kind:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            return "number"
        return "int" if int(float(value)) == value else "long"
    if isinstance(value, float):
        return "float"
    if isinstance(value, decimal.Decimal):
        return "number"
    if isinstance(value, bytes):
        return "bytes"
    if isinstance(value, datetime.datetime):
        return "time" if value.tzinfo is None else "utc"
    return "date" if isinstance(value, datetime.date) else "json"


_WRITERS: Mapping[Kind, Any] = {
    "float": float,
    "number": plain_values.number_text,
    "string": plain_values.text,
    "json": plain_values.json_text,
}
