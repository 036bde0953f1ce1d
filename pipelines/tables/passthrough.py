"""Passthrough columns: Arrow types for arbitrary values, the same in every part of a run."""

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
"""Arrow type of each kind of column.

`null` is a column without values, `long` has integers of which at least one cannot be a float64,
`number` has exact decimals as texts, and `json` has JSON texts.
"""

_NUMBERS = frozenset({"int", "long", "float", "number"})
_TEXTS = frozenset({"string", "bytes", "date", "time", "utc"})
"""Kinds whose values are texts in JSON as well."""

# Keys of a field's metadata.
_KIND = b"kind"
_KINDS = b"kinds"
_KEY = b"key"

MOST_COLUMNS = 1000
"""Largest number of passthrough columns of a table; further keys are in the column
`names.OTHERS`."""

TOO_MANY = (
    f"the records have over {MOST_COLUMNS} passthrough keys: further ones are JSON in the column "
    f"{names.OTHERS!r}"
)


def field(name: str, values: Sequence[Any], key: str | None = None) -> tuple[pa.Field, pa.Array]:
    """Makes the narrowest column that holds all values without loss.

    Booleans, integers of 64 bits, floats, texts, bytes, dates and times keep their type; integers
    among floats become floats if none of them changes by that. Otherwise numbers, decimals and
    larger integers become their exact decimal texts; dates, times and bytes among texts become
    texts (ISO 8601, base64), and so do durations, times of day and UUIDs. Lists, mappings and any
    other mix become JSON texts. NaN counts as a missing value. A column without a value has the
    type of texts.

    Args:
        name: Name of the column.
        values: Values, one for each row.
        key: Name of the field in records, if it differs from the column's.

    Returns:
        Field, with the kinds and the key in its metadata, and values.
    """
    own = [plain_values.plain(value) for value in values]
    kinds = {_kind(value) for value in own}
    kind = merged(kinds)
    return _field(name, kind, kinds, key), _array(own, kind)


def kind_of(column: pa.Field) -> Kind | None:
    """Returns the kind that `field` gave a passthrough column; None for other columns."""
    kind: Kind = (column.metadata or {}).get(_KIND, b"").decode()
    return kind or None


def kinds_of(column: pa.Field) -> tuple[str, ...]:
    """Returns the kinds of the values of a passthrough column, sorted; () without values."""
    kinds: str = (column.metadata or {}).get(_KINDS, b"").decode()
    return tuple(kinds.split(",")) if kinds else ()


def key_of(column: pa.Field) -> str | None:
    """Returns the field name in records of a passthrough column; None if it is the column's."""
    key: bytes | None = (column.metadata or {}).get(_KEY)
    return None if key is None else key.decode()


def merged(kinds: Iterable[Kind]) -> Kind:
    """Returns the kind of a column whose parts are of these kinds."""
    mixed = set(kinds) - {"null"}
    if not mixed:
        return "null"
    if len(mixed) == 1:
        return mixed.pop()
    if mixed == {"int", "long"}:
        return "long"
    if mixed == {"int", "float"}:
        return "float"
    if mixed <= _NUMBERS:
        return "number"
    return "string" if mixed <= _TEXTS else "json"


def unified(schemas: Sequence[pa.Schema]) -> list[pa.Field]:
    """Returns the passthrough columns of a run whose parts have these schemas, sorted by name.

    If there are more than `MOST_COLUMNS`, those in the most parts remain, and `names.OTHERS` holds
    the rest.
    """
    by_name: dict[str, list[pa.Field]] = {}
    for schema in schemas:
        for column in schema:
            if kind_of(column) is not None:
                by_name.setdefault(column.name, []).append(column)
    named = kept({name: len(each) for name, each in by_name.items() if name != names.OTHERS})
    columns = {name: _unified(by_name[name]) for name in by_name if name in named | {names.OTHERS}}
    if len(columns) < len(by_name):
        columns[names.OTHERS] = _field(names.OTHERS, "json", ["json"], None)
    return [columns[name] for name in sorted(columns)]


def kept(counts: Mapping[str, int], most: int = MOST_COLUMNS) -> frozenset[str]:
    """Returns the names that get columns: the most frequent; of equal ones, the first by name."""
    if len(counts) <= most:
        return frozenset(counts)
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    return frozenset(ranked[:most])


def _folded(table: pa.Table, columns: Sequence[pa.Field]) -> pa.Table:
    """Moves passthrough columns that are not in `columns` into the column `names.OTHERS`."""
    wanted = {column.name for column in columns}
    kinds = {column.name: kind_of(column) for column in table.schema}
    leaving = [name for name, kind in kinds.items() if kind is not None and name not in wanted]
    if not leaving:
        return table
    rows: list[dict[str, Any]] = [{} for _ in range(len(table))]
    if names.OTHERS in kinds:
        texts = table.column(names.OTHERS).to_pylist()
        rows = [json.loads(text) if text else {} for text in texts]
        leaving.append(names.OTHERS)
    for name in leaving:
        values = table.column(name).to_pylist() if name != names.OTHERS else ()
        for row, value in zip(rows, values, strict=False):
            if value is not None:
                row[name] = json.loads(value) if kinds[name] == "json" else value
    column, array = field(names.OTHERS, [row or None for row in rows])
    return table.drop_columns(leaving).append_column(column, array)


def conformed(table: pa.Table, columns: Sequence[pa.Field]) -> pa.Table:
    """Returns the table with its passthrough columns converted to `columns`, the run's."""
    table = _folded(table, columns)
    own = {column.name: column for column in table.schema if kind_of(column) is not None}
    result = table.drop_columns(list(own))
    for column in columns:
        if column.name not in own:
            result = result.append_column(column, pa.nulls(len(table), column.type))
            continue
        was, kind = kind_of(own[column.name]), kind_of(column)
        array = table.column(column.name)
        if kind is not None and was != kind and was != "json":  # No kind is wider than JSON.
            values = array.to_pylist()
            if was == "number":
                values = [v if v is None else plain_values.NumberText(v) for v in values]
            array = _array(values, kind)
        result = result.append_column(column, array)
    return result


def notices(columns: Iterable[pa.Field]) -> list[str]:
    """Returns one line for each renamed, mixed or left out passthrough column, for the log."""
    lines = []
    for column in columns:
        if column.name == names.OTHERS:
            lines.append(TOO_MANY)
            continue
        key, kinds = key_of(column), kinds_of(column)
        if key is not None:
            lines.append(f"column {key!r} passes through as {column.name!r}: its name is taken")
        kind = kind_of(column)
        if kind in _MIXED and set(kinds) - {kind}:
            lines.append(
                f"column {column.name!r} has values of several kinds ({', '.join(kinds)}): it is "
                f"{_MIXED[kind]}"
            )
    return lines


_MIXED: Mapping[Kind | None, str] = {
    "number": "one of texts, exact decimals",
    "string": "one of texts, with times as ISO 8601 and bytes as base64",
    "json": "one of JSON texts",
}


def column_name(name: str, reserved: Collection[str] = ()) -> str:
    """Returns the name of a passthrough key's column: the key, with a prefix if it is taken.

    A name is taken, in any case of its letters, if it is that of a score column or of a folder, if
    it is that of a task's field in CSV (`category.label`), or if it has another meaning in tools.
    The result depends on no other key, so all parts of a run agree; and different keys have
    different columns.

    Args:
        name: Key.
        reserved: Further names that are taken, such as those of tasks, in lower case.
    """
    bare = name.lower()
    while bare.startswith(names.EXTRA_PREFIX):
        bare = bare.removeprefix(names.EXTRA_PREFIX)
    taken = names.is_taken(bare) or bare.partition(".")[0] in reserved
    return f"{names.EXTRA_PREFIX}{name}" if taken else name


def text_of(value: Any) -> str | None:
    """Returns a value as text, for a text column that holds any kind; None if it is missing."""
    own = plain_values.plain(value)
    kind = _kind(own)
    if kind == "null":
        return None
    if kind in _NUMBERS:
        return plain_values.number_text(own)
    return plain_values.text(own) if kind in _TEXTS else plain_values.json_text(own)


def json_of(value: Any) -> Any:
    """Returns a value as the JSON value that a column of only this value has, see `field`."""
    own = plain_values.plain(value)
    kind = _kind(own)
    if kind in ("number", "json"):
        return _WRITERS[kind](own)
    return plain_values.json_value(own)


def fits(value: Any, kind: Kind) -> bool:
    """Returns True if a column of this kind can hold a value and both keep their types."""
    return bool(TYPES[merged((kind, _kind(plain_values.plain(value))))] == TYPES[kind])


def array_of(values: Sequence[Any], kind: Kind) -> pa.Array:
    """Makes a column of this kind of values that all fit, see `fits`; texts are from `text_of`."""
    if kind in ("string", "number"):
        return pa.array([text_of(value) for value in values], TYPES[kind])
    return _array([plain_values.plain(value) for value in values], kind)


def field_of(name: str, kind: Kind) -> pa.Field:
    """Returns the field of a passthrough column of a kind."""
    return _field(name, kind, (kind,), None)


def _field(name: str, kind: Kind, kinds: Iterable[str], key: str | None) -> pa.Field:
    joined = ",".join(sorted(set(kinds) - {"null"}))
    metadata = {_KIND: kind, _KINDS: joined, **({_KEY: key} if key is not None else {})}
    return pa.field(name, TYPES[kind], metadata=metadata)


def _unified(columns: Sequence[pa.Field]) -> pa.Field:
    kinds = {kind for column in columns for kind in kinds_of(column)}
    kind = merged(kind for kind in map(kind_of, columns) if kind is not None)
    return _field(columns[0].name, kind, kinds, key_of(columns[0]))


def _array(values: Sequence[Any], kind: Kind) -> pa.Array:
    """Makes the array of a kind from plain values, or from the values of a narrower column."""
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
