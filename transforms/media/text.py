"""Canonical texts: UTF-8 in Unicode's composed form, without control characters."""

import itertools
import unicodedata

from triad_ml.transforms.records import text_offsets
from triad_ml.transforms.records.text_offsets import _ASCII_CONTROLS, _CONTROLS, without_controls
from triad_ml.transforms.records.values import Flaw, MediumError
from triad_ml.transforms.spec.modalities import Limits

_BYTE_ORDER_MARK = "\ufeff"
_MARK_RUN = 1000  # no language stacks more than a few combining marks on one letter


def canonical(content: bytes, limits: Limits) -> bytes:
    """Makes a text canonical: strict UTF-8, NFC, no control characters but tab and line ends.

    Byte order marks at the start are dropped too. A canonical text comes back unchanged.

    Args:
        content: The text as stored.
        limits: `text_bytes` holds for what comes in and for what goes out.

    Raises:
        MediumError: NOT_UTF8, TOO_LARGE (also for endless runs of combining marks), or EMPTY where
            nothing is left.
    """
    _check_length(content, limits)
    if content.isascii():
        kept = content.translate(None, _ASCII_CONTROLS)
    else:
        kept = _composed(content)
        _check_length(kept, limits)  # composing makes a few characters longer
    if not kept:
        raise MediumError(Flaw.EMPTY, "no characters")
    return kept


def places(content: bytes, kept: bytes) -> text_offsets.Offsets | None:
    """Where the characters of a canonical text stand in the text that it was made of.

    Args:
        content: As stored, and one that `canonical` takes.
        kept: What `canonical` made of it.

    Returns:
        None where they are the same.
    """
    if content == kept:
        return None
    text = content.decode("utf-8")
    there = (place for place, character in enumerate(text) if not _CONTROLS.match(character))
    return text_offsets.composed(
        text, itertools.dropwhile(lambda i: text[i] == _BYTE_ORDER_MARK, there)
    )


def _composed(content: bytes) -> bytes:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MediumError(Flaw.NOT_UTF8, f"byte {error.start}") from error
    text = without_controls(text).lstrip(_BYTE_ORDER_MARK)
    if len(text) > _MARK_RUN:
        _check_marks(text)
    return unicodedata.normalize("NFC", text).encode()


def _check_marks(text: str) -> None:
    """Refuses long runs of combining marks: sorting them takes time in the square of their number.

    Raises:
        MediumError: TOO_LARGE.
    """
    marks = (unicodedata.combining(character) > 0 for character in text)
    for is_mark, run in itertools.groupby(marks):
        if is_mark and sum(1 for _ in run) > _MARK_RUN:
            raise MediumError(Flaw.TOO_LARGE, f"over {_MARK_RUN} combining marks in a row")


def _check_length(content: bytes, limits: Limits) -> None:
    if len(content) > limits.text_bytes:
        raise MediumError(
            Flaw.TOO_LARGE, f"{len(content)} bytes, limits.text_bytes is {limits.text_bytes}"
        )
