"""Labels as records give them -> numbers."""

import decimal
import math
from typing import Any

import numpy as np

from triad_ml.transforms.labels.classes import LabelError
from triad_ml.transforms.records import scalars

LARGEST = 1e30
"""Largest size of a label: its square is still a float32."""


def number(value: Any) -> float | None:
    """Reads the number of a label, or gives None where there is no label.

    A text is the number that it spells, because CSV has no numbers. NaN is no label.

    Raises:
        LabelError: Where the label is no finite number, or too large.
    """
    if scalars.is_missing(value) or value == "":
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float | decimal.Decimal | str):
        raise LabelError(f"a number is needed, not {type(value).__name__}")
    try:
        found = float(value)
    except (ValueError, OverflowError) as error:
        raise LabelError("a number is needed, such as 3 or 2.5") from error
    if not math.isfinite(found) or abs(found) > LARGEST:
        raise LabelError("a number is finite, and of a size up to 1e30")
    return found
