"""Parser of classes, and of texts to be generated, in the labels of records."""

import unicodedata
from typing import Any

from triad_ml.transforms.records import scalars
from triad_ml.transforms.spec.tasks import Task

NO_LIST = "one class where a list is expected; write a list, or leave multi_label out of the spec"
"""Error for a single class if the task is `multi_label`."""

LIST = "a list where one class is expected; set multi_label: true where a record has several"
"""Error for a list of classes if the task is not `multi_label`."""


class LabelError(ValueError):
    """A label that cannot be used; the text does not repeat it."""


def class_names(value: Any, task: Task) -> tuple[str, ...] | None:
    """Returns the names of a label's classes; None if there is no label.

    The name of a string is its text (NFC, stripped), that of a whole number its digits for every
    storage type, that of a truth value `true` or `false`. A multi-label task needs a list of such
    classes, which may be empty; their names are sorted. NaN is no label.

    Raises:
        LabelError: If the label is of another type, empty, or has control characters.
    """
    if scalars.is_missing(value):
        return None
    if not task.multi_label:
        if isinstance(value, list | tuple | set | frozenset):
            raise LabelError(LIST)
        return (class_name(value),)
    if not isinstance(value, list | tuple | set | frozenset):
        raise LabelError(NO_LIST)
    return tuple(sorted({class_name(item) for item in value}))


def class_name(value: Any) -> str:
    """Returns the name of one class; see `class_names`.

    Raises:
        LabelError: If the class is of another type, empty, or has control characters.
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
    """Returns the text that a generation task is to write; None if there is no label.

    The text is in NFC, and each run of white space becomes one space.

    Raises:
        LabelError: If the label is no string, empty, or has control characters.
    """
    if scalars.is_missing(value):
        return None
    if not isinstance(value, str):
        raise LabelError(f"a text to be written is a string, not {_kind(value)}")
    return class_name(" ".join(value.split()))


def _kind(value: Any) -> str:
    return type(value).__name__
