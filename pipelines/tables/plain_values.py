"""Conversion of single values: plain Python values, exact texts, and JSON values."""

import base64
import datetime
import decimal
import json
import math
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np

from triad_ml.transforms.records import iso_times, scalars


class NumberText(str):
    """Exact text of a number, as a column of kind `number` holds it."""


def clean(value: str) -> str:
    """Replaces characters that UTF-8 cannot hold (lone surrogates of JSON) with escapes."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def plain(value: Any) -> Any:
    """Converts a value to a plain one that a column can hold; None if it is missing.

    Times with a zone become UTC; durations, times of day and UUIDs become texts.
    """
    if scalars.is_missing(value):
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.UTC)
    if isinstance(value, datetime.timedelta):
        return iso_times.duration_of(value)
    if isinstance(value, datetime.time):
        return value.isoformat()
    return str(value) if isinstance(value, uuid.UUID) else value


def number_text(value: Any) -> str:
    """Returns the exact decimal text of a number; a whole float below 2**63 has that of an integer.

    Negative zero keeps its sign.
    """
    if isinstance(value, float):
        if math.isinf(value):
            return _infinity(value)
        is_integer = value.is_integer() and abs(value) < 2**63
        is_integer = is_integer and (value != 0 or math.copysign(1, value) > 0)
        return str(int(value)) if is_integer else repr(value)
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    return str(value)


def text(value: Any) -> str:
    """Returns the text of a plain value: ISO 8601 of times and dates, base64 of bytes."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return value.isoformat() if isinstance(value, datetime.date) else str(value)


def json_text(value: Any) -> str:
    """Encodes a plain value as JSON text; a `NumberText` is a number there."""
    if isinstance(value, NumberText):
        return str(value) if value[-1].isdigit() else json.dumps(value)
    if isinstance(value, float | decimal.Decimal) and math.isfinite(value):
        return number_text(value)
    return clean(json.dumps(json_value(value), ensure_ascii=False, allow_nan=False))


def json_value(value: Any) -> Any:
    """Converts a value to a JSON value.

    Bytes become base64, times ISO 8601, NaN None, and infinities "Infinity" or "-Infinity".
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            return _infinity(value)
        return None if math.isnan(value) else value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): json_value(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(part) for part in value]
    return str(value)


def _infinity(value: float) -> str:
    return "Infinity" if value > 0 else "-Infinity"
