"""Parser of spans and markers in the labels of records, to characters of the canonical text."""

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
    """Returns the labelled spans of a record, in canonical characters; None without a label.

    A label is a list of spans, each `[start, end, class]` or a mapping with the keys `start`,
    `end` and `label`, in characters of the caller's text; or a list of BIO tags, one for each of
    the caller's tokens. An `I-` tag without a span to continue begins one. A single tag needs no
    list. A record without a text has no label.

    Returns:
        Spans by rising start; they do not overlap.

    Raises:
        LabelError: If the label is neither, a span is not in the text, two spans overlap, or the
            tokens are not those of the text. The error does not repeat the label.
    """
    value = record.labels.get(task.label)
    if scalars.is_missing(value) or not record.text:
        return None
    if isinstance(value, str):
        value = [value]  # TFRecords and CSV have no lists of one
    if not isinstance(value, list | tuple):
        raise LabelError("a tagging task needs a list of spans or of BIO tags")
    content = record.text.decode()
    if value and all(isinstance(item, str) for item in value):
        tokens = record.labels.get(task.tokens) if task.tokens else None
        result = _of_tags(value, _token_bounds(tokens, content))
    else:
        result = sorted(_of_characters(item, content, record.offsets) for item in value)
    return _apart(result)


def placed(value: Any) -> tuple[Span, ...] | None:
    """Returns labelled spans in the caller's characters, of a record without its text.

    Args:
        value: List of spans, as in `spans`; None if there is no label.

    Returns:
        Spans by rising start; they do not overlap.

    Raises:
        LabelError: If the label is no list of spans, or two of them overlap. BIO tags are refused,
            because only the text tells the characters of a token.
    """
    if scalars.is_missing(value):
        return None
    if not isinstance(value, list | tuple):
        raise LabelError("a list of spans is needed")
    result = []
    for item in value:
        start, end, name = _parts(item)
        first, last = _whole(start), _whole(end)
        if first >= last:
            raise LabelError("a span holds at least one character")
        result.append(Span(first, last, class_name(name)))
    return _apart(sorted(result))


def marked(
    value: Any, tokens: Any, content: str, offsets: Offsets | None
) -> tuple[int, int] | None:
    """Returns the canonical characters `[start, end)` that a marker names; None without a marker.

    Args:
        value: Index of one of the caller's tokens, from 0; or `[start, end]`, or a mapping with
            these keys, in characters of the caller's text.
        tokens: The caller's tokens; None if the text is to be split at white space.
        content: The canonical text.
        offsets: Offsets of the canonical characters in the caller's text; None if both texts have
            the same characters.

    Raises:
        LabelError: If the marker names no part of the text.
    """
    if value is None:
        return None
    if isinstance(value, str) and value.isdecimal() and value.isascii():
        value = int(value)  # CSV has only texts
    if isinstance(value, int | float):
        index, bounds = _whole(value), _token_bounds(tokens, content)
        if index >= len(bounds):
            raise LabelError("a marker names a token that is not there")
        return bounds[index]
    if isinstance(value, Mapping):
        value = [value.get("start"), value.get("end")]
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise LabelError("a marker is the index of a token, or [start, end] in characters")
    return _inward(value[0], value[1], content, offsets)


def _apart(found: Sequence[Span]) -> tuple[Span, ...]:
    """Refuses spans that overlap."""
    if any(after.start < before.end for before, after in zip(found, found[1:], strict=False)):
        raise LabelError("spans overlap; give each layer a task of its own")
    return tuple(found)


def _of_characters(value: Any, content: str, offsets: Offsets | None) -> Span:
    first, last, name = _parts(value)
    start, end = _inward(first, last, content, offsets)
    return Span(start, end, class_name(name))


def _parts(value: Any) -> tuple[Any, Any, Any]:
    if isinstance(value, Mapping):
        value = [value.get("start"), value.get("end"), value.get("label")]
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise LabelError("a span is [start, end, class]")
    return value[0], value[1], value[2]


def _inward(start: Any, end: Any, content: str, offsets: Offsets | None) -> tuple[int, int]:
    length = len(content) if offsets is None else offsets.length
    first, last = _whole(start), _whole(end)
    if not first < last <= length:
        raise LabelError("a span holds at least one character, and ends within the text")
    inner = (first, last) if offsets is None else offsets.inward(first, last)
    if inner[0] >= inner[1]:
        raise LabelError("a span holds nothing but removed control characters")
    return inner


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise LabelError("a place in a text is a whole number")
    if value < 0:
        raise LabelError("a place in a text is not under 0")
    return int(value)


def _of_tags(tags: Sequence[str], bounds: Sequence[tuple[int, int]]) -> list[Span]:
    if len(tags) != len(bounds):
        raise LabelError("there are not as many BIO tags as tokens")
    result: list[Span] = []
    inside = False
    for tag, (start, end) in zip(tags, bounds, strict=True):
        if tag == "O":
            inside = False
            continue
        kind, dash, rest = tag.partition("-")
        if kind not in ("B", "I") or not dash:
            raise LabelError("a BIO tag is O, B-class or I-class")
        name = class_name(rest)
        if kind == "I" and inside and result[-1].label == name:
            result[-1] = result[-1]._replace(end=end)
        else:
            result.append(Span(start, end, name))
        inside = True
    return result


def _token_bounds(tokens: Any, content: str) -> list[tuple[int, int]]:
    """Returns the characters `[start, end)` of each of the caller's tokens in the canonical text.

    Only white space may separate the tokens.
    """
    if tokens is None:
        return [match.span() for match in _TOKEN.finditer(content)]
    if not isinstance(tokens, list | tuple):
        raise LabelError("tokens are a list of strings")
    bounds, cursor = [], 0
    for token in tokens:
        if not isinstance(token, str):
            raise LabelError("tokens are a list of strings")
        canonical = unicodedata.normalize("NFC", text_offsets.without_controls(token)).strip()
        start = content.find(canonical, cursor) if canonical else -1
        if start < 0 or content[cursor:start].strip():
            raise LabelError("the tokens are not those of the text, in its order")
        cursor = start + len(canonical)
        bounds.append((start, cursor))
    return bounds
