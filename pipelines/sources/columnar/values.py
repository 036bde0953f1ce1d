"""Conversion of Arrow columns to Python values, or to texts for values that Python cannot hold."""

import datetime
import functools
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from triad_ml.transforms.records import iso_times

_EPOCH = datetime.datetime(1970, 1, 1)
_DAY_MILLISECONDS = 86_400_000
_FIRST_DAY = (datetime.date.min - _EPOCH.date()).days
_LAST_DAY = (datetime.date.max - _EPOCH.date()).days


def values(column: pa.Array, lenient: bool = False) -> list[Any]:
    """Converts the values of a column, each independently of the others.

    Structs and maps become dicts, or lists of pairs if two keys are equal or a key is no string.
    UUIDs and times of day become texts, durations ISO 8601 texts in seconds. Timestamps and dates
    become Python's; those that Python cannot hold, finer than a microsecond or of years outside 1
    to 9999, become ISO 8601 texts. Times with a zone are in UTC.

    Args:
        column: Column of any type in Parquet.
        lenient: True if strings that are not UTF-8 keep their bytes as lone surrogates.

    Raises:
        UnicodeDecodeError: A string is not UTF-8, and `lenient` is False.
    """
    kind = column.type
    if _is_plain(kind) and not lenient:
        return list(column.to_pylist())
    if isinstance(kind, pa.BaseExtensionType):
        return _of_extension(column, lenient)
    if pa.types.is_dictionary(kind):
        return values(column.dictionary_decode(), lenient)
    if pa.types.is_struct(kind):
        return _structs(column, lenient)
    if pa.types.is_map(kind):
        return _maps(column, lenient)
    if _is_list(kind):
        return _lists(column, lenient)
    if pa.types.is_timestamp(kind):
        return _timestamps(column)
    if pa.types.is_date(kind):
        return _dates(column)
    if pa.types.is_time(kind):
        return _texts(column, iso_times.time_of_day)
    if pa.types.is_duration(kind):
        return _texts(column, iso_times.duration)
    if _is_string(kind):
        return [
            decoded(value.as_buffer().to_pybytes()) if value.is_valid else None for value in column
        ]
    return list(column.to_pylist())


def decoded(stored: bytes) -> str:
    """Decodes a string; bytes that are not UTF-8 become lone surrogates."""
    return stored.decode(errors="surrogateescape")


@functools.lru_cache(maxsize=1024)
def _is_plain(kind: pa.DataType) -> bool:
    """Returns True if Arrow's own conversion to Python loses no value."""
    if isinstance(kind, pa.BaseExtensionType) or pa.types.is_map(kind):
        return False
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        return len(set(names)) == len(names) and all(_is_plain(field.type) for field in kind)
    if _is_list(kind) or pa.types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    return not pa.types.is_temporal(kind)


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    checks = (
        *(types.is_list, types.is_large_list, types.is_fixed_size_list),
        *(types.is_list_view, types.is_large_list_view),
    )
    return any(check(kind) for check in checks)


def _is_string(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def _of_extension(column: pa.ExtensionArray, lenient: bool) -> list[Any]:
    if isinstance(column.type, pa.UuidType):
        return [None if value is None else str(value) for value in column.to_pylist()]
    if isinstance(column.type, pa.Bool8Type):
        return list(column.to_pylist())
    return values(column.storage, lenient)


def _structs(column: pa.StructArray, lenient: bool) -> list[Any]:
    names = [field.name for field in column.type]
    parts = [values(part, lenient) for part in column.flatten()]
    rows = zip(*parts, strict=True) if parts else ((),) * len(column)
    return [
        _mapping(names, row) if is_valid else None
        for row, is_valid in zip(rows, column.is_valid().to_pylist(), strict=True)
    ]


def _maps(column: pa.MapArray, lenient: bool) -> list[Any]:
    edges = column.offsets.to_pylist()
    first, count = edges[0], edges[-1] - edges[0]
    keys = values(column.keys.slice(first, count), lenient)
    items = values(column.items.slice(first, count), lenient)
    ranges = zip(edges, edges[1:], column.is_valid().to_pylist(), strict=False)
    return [
        _mapping(keys[start - first : end - first], items[start - first : end - first])
        if is_valid
        else None
        for start, end, is_valid in ranges
    ]


def _mapping(keys: Sequence[Any], items: Sequence[Any]) -> Any:
    if all(isinstance(key, str) for key in keys) and len(set(keys)) == len(keys):
        return dict(zip(keys, items, strict=True))
    return [list(pair) for pair in zip(keys, items, strict=True)]


def _lists(column: pa.Array, lenient: bool) -> list[Any]:
    parts = iter(values(column.flatten(), lenient))
    lengths = pc.list_value_length(column).to_pylist()
    return [None if length is None else [next(parts) for _ in range(length)] for length in lengths]


def _timestamps(column: pa.TimestampArray) -> list[Any]:
    per_second = iso_times.PER_SECOND[column.type.unit]
    utc = column.type.tz is not None
    first, last = _FIRST_DAY * 86_400 * per_second, (_LAST_DAY + 1) * 86_400 * per_second
    stored = column.cast(pa.int64())
    numbers = stored.drop_null().to_numpy()
    whole = per_second <= 10**6 or not (numbers % 1000).any()
    if whole and ((numbers >= first) & (numbers < last)).all():
        return list(column.cast(pa.timestamp("us", "UTC" if utc else None)).to_pylist())
    zone = datetime.UTC if utc else None
    nanoseconds = 10**9 // per_second

    def value(number: int) -> datetime.datetime | str:
        since = number * nanoseconds
        if since % 1000 or not first <= number < last:
            return iso_times.timestamp(since, utc)
        return (_EPOCH + datetime.timedelta(microseconds=since // 1000)).replace(tzinfo=zone)

    return [None if number is None else value(number) for number in stored.to_pylist()]


def _dates(column: pa.Array) -> list[Any]:
    wide = pa.types.is_date64(column.type)
    stored = column.cast(pa.int64() if wide else pa.int32())
    days = stored.drop_null().to_numpy() // (_DAY_MILLISECONDS if wide else 1)
    if ((days >= _FIRST_DAY) & (days <= _LAST_DAY)).all():
        return list(column.to_pylist())
    valid = iter(days.tolist())
    return [_date(next(valid)) if is_valid else None for is_valid in column.is_valid().to_pylist()]


def _date(days: int) -> datetime.date | str:
    if _FIRST_DAY <= days <= _LAST_DAY:
        return _EPOCH.date() + datetime.timedelta(days=days)
    return iso_times.date(days)


def _texts(column: pa.Array, text: Any) -> list[Any]:
    nanoseconds = 10**9 // iso_times.PER_SECOND[column.type.unit]
    stored = column.cast(pa.int32() if column.type.bit_width == 32 else pa.int64())
    return [None if number is None else text(number * nanoseconds) for number in stored.to_pylist()]
