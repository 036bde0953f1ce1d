"""Single values as records give them: which are missing, and which are one however stored."""

import datetime
import decimal
import re
import uuid
from typing import Any

import numpy as np

_LONGEST = 308
"""Digits of the largest float; a longer decimal is no whole number of anybody's."""

_WHOLE_TEXT = re.compile(rf"(-?(?:0|[1-9]\d{{0,{_LONGEST}}}))\.0+", re.ASCII)

_FLOAT_TEXT = re.compile(r"-?[0-9](?:\.[0-9]+)?e\+[0-9]{2,3}", re.ASCII)
"""A float over 10**16 as Python and pandas write it."""

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
    """Whether a value says that there is none: null, NaN or NaT."""
    if value is None:
        return True
    if not isinstance(value, _MAY_BE_NAN):
        return False
    return value.is_nan() if isinstance(value, decimal.Decimal) else bool(value != value)


def whole_number(value: Any) -> int | None:
    """The whole number that a number is, whether it is stored as such, as float or as decimal.

    None for what is no number or not whole, and for truth values. A text is no number.
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
    """The text of a single value, the same however it is stored; None where it is none of those.

    Whole numbers are their digits, other numbers the shortest that give them, truth values `true`
    and `false`; dates and times are ISO 8601. A text is itself.
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
    """The one spelling of a text that writers of CSV make of a whole number or a truth value.

    `3.0` is `3`, `1e+16` is its digits, `True` is `true`; any other text is itself.
    """
    if text.endswith("0") and (found := _WHOLE_TEXT.fullmatch(text)):
        return str(int(found[1]))
    if "e+" in text and _FLOAT_TEXT.fullmatch(text):
        number = whole_number(float(text))
        return text if number is None else str(number)
    return text.lower() if text in ("True", "False") else text


def kind_of(value: Any) -> str:
    """How a value is stored, in a word: `text`, `int`, `float`, `decimal`, `bool`, `list` ..."""
    kind = type(value)
    return _KINDS.get(kind) or kind.__name__
