"""Labels of tagging tasks, and markers, as records give them -> spans of the canonical text."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from triad_ml.transforms.labels.classes import LabelError, class_name
from triad_ml.transforms.records import scalars, text_offsets
from triad_ml.transforms.records.text_offsets import Offsets
from triad_ml.transforms.records.values import CanonicalRecord, Span
from triad_ml.transforms.spec.tasks import Task

_TOKEN = re.compile(r"\S+")


def spans(record: CanonicalRecord, task: Task) -> tuple[Span, ...] | None:
    """The labelled spans of a record, in canonical characters, or None where there is no label.

    A label is a list of spans, each `[start, end, class]` or a mapping of these names, in
    characters of the caller's text; or a list of BIO tags, one for each of the caller's tokens.
    An `I-` that continues nothing begins a span; one tag may stand without a list. Without a text
    there is no label.

    Returns:
        By rising start; they do not overlap.

    Raises:
        LabelError: Where the label is neither, a span is not in the text, two overlap, or the
            tokens are not those of the text. It does not repeat the label.
    """
    value = record.labels.get(task.label)
    if scalars.is_missing(value) or not record.text:
        return None
    if isinstance(value, str):
        value = [value]  # TFRecords and CSV have no lists of one
    if not isinstance(value, list | tuple):
        raise LabelError("a tagging task needs a list of spans or of BIO tags")
    content = record.text.decode()
    if value and all(isinstance(one, str) for one in value):
        tokens = record.labels.get(task.tokens) if task.tokens else None
        found = _of_tags(value, _places(tokens, content))
    else:
        found = sorted(_of_characters(one, content, record.offsets) for one in value)
    if any(after.start < before.end for before, after in zip(found, found[1:], strict=False)):
        raise LabelError("spans overlap; give each layer a task of its own")
    return tuple(found)


def marked(
    value: Any, tokens: Any, content: str, offsets: Offsets | None
) -> tuple[int, int] | None:
    """The canonical characters `[start, end)` that a marker names, or None where there is none.

    Args:
        value: The index of one of the caller's tokens, from 0 on; or `[start, end]` or a mapping of
            these names, in characters of the caller's text.
        tokens: The caller's; None for what white space parts.
        content: The canonical text.
        offsets: Of its characters in the caller's text.

    Raises:
        LabelError: Where it names no part of the text.
    """
    if value is None:
        return None
    if isinstance(value, str) and value.isdecimal() and value.isascii():
        value = int(value)  # CSV has no numbers
    if isinstance(value, int | float):
        index, places = _whole(value), _places(tokens, content)
        if index >= len(places):
            raise LabelError("a marker names a token that is not there")
        return places[index]
    if isinstance(value, Mapping):
        value = [value.get("start"), value.get("end")]
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise LabelError("a marker is the index of a token, or [start, end] in characters")
    return _inward(value[0], value[1], content, offsets)


def _of_characters(value: Any, content: str, offsets: Offsets | None) -> Span:
    if isinstance(value, Mapping):
        value = [value.get("start"), value.get("end"), value.get("label")]
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise LabelError("a span is [start, end, class]")
    start, end = _inward(value[0], value[1], content, offsets)
    return Span(start, end, class_name(value[2]))


def _inward(start: Any, end: Any, content: str, offsets: Offsets | None) -> tuple[int, int]:
    length = len(content) if offsets is None else offsets.length
    first, last = _whole(start), _whole(end)
    if not first < last <= length:
        raise LabelError("a span holds at least one character, and ends within the text")
    place = (first, last) if offsets is None else offsets.inward(first, last)
    if place[0] >= place[1]:
        raise LabelError("a span holds nothing but removed control characters")
    return place


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise LabelError("a place in a text is a whole number")
    if value < 0:
        raise LabelError("a place in a text is not under 0")
    return int(value)


def _of_tags(tags: Sequence[str], places: Sequence[tuple[int, int]]) -> list[Span]:
    if len(tags) != len(places):
        raise LabelError("there are not as many BIO tags as tokens")
    found: list[Span] = []
    goes_on = False
    for tag, (start, end) in zip(tags, places, strict=True):
        if tag == "O":
            goes_on = False
            continue
        kind, dash, rest = tag.partition("-")
        if kind not in ("B", "I") or not dash:
            raise LabelError("a BIO tag is O, B-class or I-class")
        name = class_name(rest)
        if kind == "I" and goes_on and found[-1].label == name:
            found[-1] = found[-1]._replace(end=end)
        else:
            found.append(Span(start, end, name))
        goes_on = True
    return found


def _places(tokens: Any, content: str) -> list[tuple[int, int]]:
    """Where the caller's tokens stand in the canonical text; nothing but white space parts them."""
    if tokens is None:
        return [found.span() for found in _TOKEN.finditer(content)]
    if not isinstance(tokens, list | tuple):
        raise LabelError("tokens are a list of strings")
    places, cursor = [], 0
    for token in tokens:
        if not isinstance(token, str):
            raise LabelError("tokens are a list of strings")
        canonical = unicodedata.normalize("NFC", text_offsets.without_controls(token)).strip()
        start = content.find(canonical, cursor) if canonical else -1
        if start < 0 or content[cursor:start].strip():
            raise LabelError("the tokens are not those of the text, in its order")
        cursor = start + len(canonical)
        places.append((start, cursor))
    return places
