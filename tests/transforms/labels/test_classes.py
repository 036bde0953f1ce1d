"""Class names parsed from the labels of records."""

import decimal
import math

import numpy as np
import pytest

from triad_ml.transforms.labels.classes import NO_LIST, LabelError, class_names
from triad_ml.transforms.spec.tasks import ClassificationTask

SINGLE = ClassificationTask(kind="classification", label="kind")
SETS = ClassificationTask(kind="classification", label="kind", multi_label=True)


@pytest.mark.parametrize("task", [SINGLE, SETS])
def test_no_label_is_none(task):
    assert class_names(None, task) is None
    assert class_names(math.nan, task) is None


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("cat", "cat"),
        ("  two words\n", "two words"),
        ("cafe\u0301", "caf\u00e9"),
        ("\u212b", "\u00c5"),  # the sign of the unit is the letter
        ("Cat", "Cat"),
        ("日本", "日本"),
        ("a\u200db", "a\u200db"),  # joins emoji: no control character
        ("true", "true"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-3, "-3"),
        (10**20, "100000000000000000000"),
        (3.0, "3"),
        (-0.0, "0"),
        (1e20, "100000000000000000000"),
        (decimal.Decimal("3.00"), "3"),
        (np.float32(3), "3"),
        (np.int8(3), "3"),
        ("3.0", "3.0"),  # a text is what it says
    ],
)
def test_a_label_is_a_class_by_its_text(value, name):
    assert class_names(value, SINGLE) == (name,)
    assert class_names([value], SETS) == (name,)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " \t\n",
        "a\nb",
        "a\rb",
        "a\0b",
        "a\x85b",
        "\ud800",
        1.5,
        math.inf,
        b"cat",
        {"name": "cat"},
        ["cat"],
        ("cat",),
    ],
)
def test_what_names_no_class_is_refused(value):
    with pytest.raises(LabelError):
        class_names(value, SINGLE)
    with pytest.raises(LabelError):
        class_names(["cat", value], SETS)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ([], ()),
        (["b", "a", "b"], ("a", "b")),
        (("b", "a"), ("a", "b")),
        ({"b", "a"}, ("a", "b")),
        (frozenset("ba"), ("a", "b")),
        ([True, "true", 1, 1.0, "1 "], ("1", "true")),
        (["e\u0301", "\u00e9"], ("\u00e9",)),
        ([10, 9], ("10", "9")),
    ],
)
def test_a_set_is_sorted_and_names_each_class_once(value, names):
    assert class_names(value, SETS) == names


@pytest.mark.parametrize("value", ["cat", 3, True, {"cat": True}, b"cat", [None]])
def test_a_multi_label_task_takes_lists_of_classes_alone(value):
    with pytest.raises(LabelError):
        class_names(value, SETS)


@pytest.mark.parametrize(
    ("value", "task", "message"),
    [
        (1.25, SINGLE, "a class is a string, a whole number or a truth value, not float"),
        ("s3cret\0", SINGLE, "a class is a text without control characters, and not empty"),
        ("s3cret", SETS, NO_LIST),
    ],
)
def test_a_refusal_says_the_rule_and_not_the_label(value, task, message):
    with pytest.raises(LabelError) as caught:
        class_names(value, task)
    assert str(caught.value) == message
