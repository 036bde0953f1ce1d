"""Numbers parsed from the labels of records."""

import decimal
import math

import numpy as np
import pytest

from triad_ml.transforms.labels.classes import LabelError
from triad_ml.transforms.labels.numbers import number


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (3, 3.0),
        (-2.5, -2.5),
        (np.float32(0.5), 0.5),
        (decimal.Decimal("1.25"), 1.25),
        (" 2.5e3 ", 2500.0),
        ("-.5", -0.5),
        ("+7.", 7.0),
        (None, None),
        (math.nan, None),
        ("", None),
    ],
)
def test_a_number_is_read_however_it_is_stored(value, found):
    assert number(value) == found


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (True, "a number is needed, not bool"),
        ([3], "a number is needed, not list"),
        ("three", "a number is needed, such as 3 or 2.5"),
        (math.inf, "a number is finite, and of a size up to 1e30"),
        (1e31, "a number is finite, and of a size up to 1e30"),
        ("nan", "a number is needed, such as 3 or 2.5"),
        ("1_000", "a number is needed, such as 3 or 2.5"),
        ("٣", "a number is needed, such as 3 or 2.5"),
        ("1e31", "a number is finite, and of a size up to 1e30"),
        (10**400, "a number is needed, such as 3 or 2.5"),
    ],
)
def test_what_is_no_number_is_refused(value, why):
    with pytest.raises(LabelError) as caught:
        number(value)
    assert str(caught.value) == why
