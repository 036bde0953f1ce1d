"""Parser of numbers in the labels of records."""

import decimal
import math
import re
from typing import Any

import numpy as np

from triad_ml.transforms.labels.classes import LabelError
from triad_ml.transforms.records import scalars

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

LARGEST = 1e30
"""Largest absolute value of a label; its square still fits into a float32."""


def number(value: Any) -> float | None:
    """Returns the number of a label; None if there is no label.

    A text is parsed as a decimal number, such as `-2.5` or `1e3`, because CSV has only texts. NaN
    is no label.

    Raises:
        LabelError: If the label is no finite number, or too large.
    """
    if scalars.is_missing(value) or value == "":
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float | decimal.Decimal | str):
        raise LabelError(f"a number is needed, not {type(value).__name__}")
    if isinstance(value, str) and not _DECIMAL.fullmatch(value.strip()):
        raise LabelError("a number is needed, such as 3 or 2.5")
    try:
        result = float(value)
    except (ValueError, OverflowError) as error:
        raise LabelError("a number is needed, such as 3 or 2.5") from error
    if not math.isfinite(result) or abs(result) > LARGEST:
        raise LabelError("a number is finite, and of a size up to 1e30")
    return result
