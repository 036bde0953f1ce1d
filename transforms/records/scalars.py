"""Single values in records: missing values, and one text for a value in any storage type."""

import datetime
import decimal
import re
import uuid
from typing import Any

import numpy as np

_LONGEST = 308
"""Digits of the largest float; a longer decimal is not taken for a whole number."""

_WHOLE_TEXT = re.compile(rf"(-?(?:0|[1-9]\d{{0,{_LONGEST}}}))\.0+", re.ASCII)

_FLOAT_TEXT = re.compile(r"-?[0-9](?:\.[0-9]+)?e\+[0-9]{2,3}", re.ASCII)
"""A float of 10**16 or more, as Python and pandas write it."""

_MAY_BE_NAN = (float, np.generic, decimal.Decimal)

_KINDS = {
    str: "text",
    bool: "bool",
    int: "int",
    float: "float",
    decimal.Decimal: "decimal",
    bytes: "bytes",
    dict: "object",
    list: "list",
    tuple: "list",
    uuid.UUID: "uuid",
}


def is_missing(value: Any) -> bool:
    """Returns True if a value is null, NaN or NaT."""
    if value is None:
        return True
    if not isinstance(value, _MAY_BE_NAN):
        return False
    return value.is_nan() if isinstance(value, decimal.Decimal) else bool(value != value)


def whole_number(value: Any) -> int | None:
    """Returns a whole number that is stored as an integer, a float or a decimal.

    Returns:
        None if the value is not whole, a truth value, a text, or not a number at all.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if (
        isinstance(value, decimal.Decimal)
        and value.is_finite()
        and value.adjusted() <= _LONGEST
        and value == value.to_integral_value()
    ):
        return int(value)
    return None


def text_of(value: Any) -> str | None:
    """Returns the text of a single value, the same for each type that it may be stored in.

    A whole number becomes its digits, another number its shortest exact text, a truth value `true`
    or `false`, a date or time its ISO 8601 text. A text stays as it is.

    Returns:
        None if the value has none of these types.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return str(value).lower()
    number = whole_number(value)
    if number is not None:
        return str(number)
    if isinstance(value, decimal.Decimal) and value.is_finite():
        digits = format(value, "f")
        return digits.rstrip("0").removesuffix(".") if "." in digits else digits
    if isinstance(value, int | float | decimal.Decimal | uuid.UUID):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return None


def common_spelling(text: str) -> str:
    """Undoes the ways in which CSV writers spell whole numbers and truth values.

    `3.0` becomes `3`, `1e+16` its digits, `True` becomes `true`; any other text stays as it is.
    """
    if text.endswith("0") and (match := _WHOLE_TEXT.fullmatch(text)):
        return str(int(match[1]))
    if "e+" in text and _FLOAT_TEXT.fullmatch(text):
        number = whole_number(float(text))
        return text if number is None else str(number)
    return text.lower() if text in ("True", "False") else text


def kind_of(value: Any) -> str:
    """Names a value's storage type: `text`, `int`, `float`, `decimal`, `bool`, `list` ..."""
    kind = type(value)
    return _KINDS.get(kind) or kind.__name__
