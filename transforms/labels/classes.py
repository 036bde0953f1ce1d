"""Labels as records give them -> names of classes."""

import unicodedata
from typing import Any

from triad_ml.transforms.records import scalars
from triad_ml.transforms.spec.tasks import Task

NO_LIST = "one class where a list is expected; write a list, or leave multi_label out of the spec"
"""What is wrong with one class where the task is `multi_label`."""

LIST = "a list where one class is expected; set multi_label: true where a record has several"
"""What is wrong with a list of classes where the task is not `multi_label`."""


class LabelError(ValueError):
    """A label that names no class; the text does not repeat it."""


def class_names(value: Any, task: Task) -> tuple[str, ...] | None:
    """Names the classes of a label, or None where there is no label.

    A string is a class by its text (NFC, stripped), a whole number by its digits however it is
    stored, a truth value by `true` or `false`. A multi-label task takes a list of those, possibly
    empty, and sorts them. NaN is no label.

    Raises:
        LabelError: Where the label is of another type, empty, or holds control characters.
    """
    if scalars.is_missing(value):
        return None
    if not task.multi_label:
        if isinstance(value, list | tuple | set | frozenset):
            raise LabelError(LIST)
        return (class_name(value),)
    if not isinstance(value, list | tuple | set | frozenset):
        raise LabelError(NO_LIST)
    return tuple(sorted({class_name(one) for one in value}))


def class_name(value: Any) -> str:
    """The name of one class; see `class_names`.

    Raises:
        LabelError: See there.
    """
    if not isinstance(value, str):
        if isinstance(value, bool):
            return str(value).lower()
        number = scalars.whole_number(value)
        if number is not None:
            return str(number)
        raise LabelError(
            f"a class is a string, a whole number or a truth value, not {_kind(value)}"
        )
    name = unicodedata.normalize("NFC", value).strip()
    if not name or any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        raise LabelError("a class is a text without control characters, and not empty")
    return name


def target_text(value: Any) -> str | None:
    """The text that a generation task is to write, or None where there is no label.

    It is NFC, and each run of white space is one space.

    Raises:
        LabelError: Where the label is no string, empty, or holds control characters.
    """
    if scalars.is_missing(value):
        return None
    if not isinstance(value, str):
        raise LabelError(f"a text to be written is a string, not {_kind(value)}")
    return class_name(" ".join(value.split()))


def _kind(value: Any) -> str:
    return type(value).__name__
