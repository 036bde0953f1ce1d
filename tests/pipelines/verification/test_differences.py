"""Differences of values, and their table."""

import io

import numpy as np
import pytest
import rich.console

from triad_ml.pipelines.verification import differences
from triad_ml.pipelines.verification.differences import Difference


def added(left, right, tolerance=0.0):
    one = Difference("feature", tolerance)
    one.add("r1", left, right)
    return one


def shown(*given):
    console = rich.console.Console(file=io.StringIO(), width=120)
    console.print(differences.table(given, "What is compared"))
    return [
        " ".join(line.replace("│", " ").split()) for line in console.file.getvalue().split("\n")
    ]


@pytest.mark.parametrize(
    "value",
    [
        np.zeros((2, 3), np.float32),
        np.arange(4, dtype=np.uint8),
        np.zeros((0,), np.float32),
        np.bool_(True),
        7,
        b"bytes",
        "text",
    ],
    ids=lambda value: type(value).__name__,
)
def test_equal_values_do_not_differ(value):
    one = added(value, value)
    assert (one.records, one.unequal, one.largest, one.record) == (1, 0, 0.0, "")
    assert one.passes


@pytest.mark.parametrize(
    ("left", "right", "largest"),
    [
        (np.float32([1, 2]), np.float32([1, 2.5]), 0.5),
        (np.uint8([0, 250]), np.uint8([255, 250]), 255.0),
        (np.uint8([255]), np.uint8([0]), 255.0),
        (np.int64(-1), np.int64(3), 4.0),
        (np.bool_(False), np.bool_(True), 1.0),
        (np.float32(1), np.float64(1), 0.0),
    ],
)
def test_numbers_differ_by_the_largest_distance(left, right, largest):
    one = added(left, right)
    assert one.largest == largest
    assert one.unequal == (largest > 0)
    assert one.passes == (largest == 0)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (np.zeros(2), np.zeros(3)),
        (np.zeros((2, 1)), np.zeros(2)),
        (np.float32([1]), np.int64([1])),
        (np.uint8([1]), np.int64([1])),
        (np.float32([np.nan]), np.float32([np.nan])),
        (np.float32([np.nan, 1]), np.float32([0, 1])),
        (np.float32([np.inf]), np.float32([np.inf])),
        (np.float32([np.inf]), np.float32([0])),
        (b"a", b"b"),
        ("a", b"a"),
        (None, np.float32([1])),
        (np.float32([1]), None),
        (None, 0),
    ],
)
def test_what_cannot_be_subtracted_is_infinitely_far(left, right):
    one = added(left, right, tolerance=1e9)
    assert one.largest == float("inf")
    assert not one.passes


def test_the_tolerance_itself_passes():
    assert added(np.float64(0), np.float64(0.25), tolerance=0.25).passes
    assert not added(np.float64(0), np.float64(0.2500001), tolerance=0.25).passes


def test_the_record_with_the_largest_difference_is_named():
    one = Difference("audio", tolerance=0.1)
    for record_id, apart in [("a", 0.0), ("b", 0.5), ("c", 0.25), ("d", 0.5)]:
        one.add(record_id, np.float64([0, 0]), np.float64([0, apart]))
    assert (one.records, one.unequal, one.largest, one.record) == (4, 3, 0.5, "b")


def test_the_table_says_what_fails_and_where():
    equal, near, far = (Difference(name, 1e-6) for name in ("image", "audio", "text"))
    equal.add("r1", 1, 1)
    near.add("r1", 0.0, 5e-7)
    far.add("r1", 1, 1)
    far.add("r2", 1, 3)
    lines = shown(equal, near, far)
    assert "What is compared" in lines[0]
    assert "image 1 0 0 1e-06 equal" in lines
    assert "audio 1 1 5e-07 1e-06 passes (record r1)" in lines
    assert "text 2 1 2 1e-06 FAILS (record r2)" in lines


def test_an_id_that_looks_like_markup_is_shown_as_it_is():
    one = Difference("text")
    one.add("[red]r1[/x]", 1, 2)
    assert "text 1 1 1 0 FAILS (record [red]r1[/x])" in shown(one)
