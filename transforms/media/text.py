"""Canonical texts: UTF-8 in Unicode's composed form (NFC), without control characters."""

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

    Byte order marks at the start are dropped too. A canonical text is returned unchanged.

    Args:
        content: The text as stored.
        limits: `text_bytes` applies to the stored and to the canonical text.

    Raises:
        MediumError: NOT_UTF8, TOO_LARGE (also for very long runs of combining marks), or EMPTY if
            no characters are left.
    """
    _check_length(content, limits)
    if content.isascii():
        kept = content.translate(None, _ASCII_CONTROLS)
    else:
        kept = _composed(content)
        _check_length(kept, limits)  # NFC makes a few characters longer
    if not kept:
        raise MediumError(Flaw.EMPTY, "no characters")
    return kept


def places(content: bytes, kept: bytes) -> text_offsets.Offsets | None:
    """Returns the offsets of a canonical text's characters in the text as stored.

    Args:
        content: The text as stored, which `canonical` accepts.
        kept: The result of `canonical`.

    Returns:
        None if both texts are the same.
    """
    if content == kept:
        return None
    text = content.decode("utf-8")
    indices = (index for index, character in enumerate(text) if not _CONTROLS.match(character))
    return text_offsets.composed(
        text, itertools.dropwhile(lambda i: text[i] == _BYTE_ORDER_MARK, indices)
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
    """Refuses long runs of combining marks: NFC sorts them, in time quadratic in their number.

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
