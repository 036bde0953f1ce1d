"""Texts of single values, equal for each type in which a value may be stored."""

import datetime
import decimal
import math
import uuid

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from triad_ml.transforms.records import scalars

UUID = uuid.UUID("00000000-0000-0000-0000-000000000001")


@pytest.mark.parametrize(
    "value",
    [None, math.nan, np.float32("nan"), decimal.Decimal("nan"), np.datetime64("NaT")],
)
def test_null_nan_and_nat_are_missing(value):
    assert scalars.is_missing(value)


@pytest.mark.parametrize("value", ["", "nan", 0, 0.0, False, [], math.inf, [math.nan]])
def test_everything_else_is_there(value):
    assert not scalars.is_missing(value)


@hypothesis.given(number=strategies.integers(-(10**40), 10**40))
def test_a_whole_number_has_one_text_however_it_is_stored(number):
    stored = [number, decimal.Decimal(number), decimal.Decimal(f"{number}.000")]
    if float(number) == number:
        stored += [float(number), np.float64(number)]
    if -(2**63) <= number < 2**63:
        stored.append(np.int64(number))
    assert {scalars.text_of(one) for one in stored} == {str(number)}
    assert {scalars.whole_number(one) for one in stored} == {number}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (np.bool_(False), "false"),
        (1.5, "1.5"),
        (decimal.Decimal("1.50"), "1.5"),
        (-0.0, "0"),
        (2.0**53, "9007199254740992"),
        ("3.0", "3.0"),
        (UUID, str(UUID)),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        ([3], None),
        ({}, None),
    ],
)
def test_other_single_values_have_a_text_too(value, text):
    assert scalars.text_of(value) == text


@pytest.mark.parametrize("value", [True, "3", 1.5, math.inf, decimal.Decimal("1.1"), None])
def test_what_is_no_number_or_not_whole_is_no_whole_number(value):
    assert scalars.whole_number(value) is None


def test_a_decimal_of_endless_digits_is_not_written_out():
    assert scalars.whole_number(decimal.Decimal("1E+999999")) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.0", "3"),
        ("-12.000", "-12"),
        ("-0.0", "0"),
        ("1e+16", "10000000000000000"),
        ("-1.2345678901234568e+16", "-12345678901234568"),
        ("True", "true"),
        ("False", "false"),
        *((text, text) for text in ("3.10", "03.0", "TRUE", "1e5", "12e+16", "1e+999", "a 1e+16")),
    ],
)
def test_a_whole_number_or_truth_value_has_one_spelling(text, expected):
    assert scalars.common_spelling(text) == expected


@pytest.mark.parametrize("value", [1e16, 2.0**60, 1e300, True, False, 3.0])
def test_what_python_writes_of_a_value_is_spelled_as_the_value_itself(value):
    assert scalars.common_spelling(str(value)) == scalars.text_of(value)
