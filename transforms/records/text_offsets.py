"""Where the characters of a canonical text stand in the text as its caller has it."""

import bisect
import dataclasses
import re
import unicodedata
from collections.abc import Iterable, Iterator

_ASCII_CONTROLS = bytes(code for code in (*range(32), 127) if code not in b"\t\n\r")


_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def without_controls(text: str) -> str:
    """A text without control characters but tab and line ends."""
    return _CONTROLS.sub("", text)


@dataclasses.dataclass(frozen=True, slots=True)
class Offsets:
    """The places of a canonical text's characters, where canonicalization moved any.

    Characters are Unicode code points. What was composed, such as a letter and its accent, is one
    piece: a span that holds a part of it holds all of it.

    Attributes:
        starts: By canonical character, its first character in the caller's text.
        ends: By canonical character, the one behind its last in the caller's text.
        length: Characters of the caller's text.
    """

    starts: tuple[int, ...]
    ends: tuple[int, ...]
    length: int

    def outward(self, start: int, end: int) -> tuple[int, int]:
        """Canonical characters `[start, end)`, at least one, as a span of the caller's."""
        return self.starts[start], self.ends[end - 1]

    def inward(self, start: int, end: int) -> tuple[int, int]:
        """The canonical characters that hold something of the caller's `[start, end)`.

        Where all of it was removed, `start` is not under `end`.
        """
        return bisect.bisect_right(self.ends, start), bisect.bisect_left(self.starts, end)


def composed(text: str, kept: Iterable[int]) -> Offsets:
    """Follows the composition (NFC) of some characters of a text.

    Args:
        text: As the caller has it.
        kept: The places of those characters that are composed, rising.
    """
    starts: list[int] = []
    ends: list[int] = []
    for places in _pieces(text, kept):
        made = unicodedata.normalize("NFC", "".join(text[place] for place in places))
        starts += [places[0]] * len(made)
        ends += [places[-1] + 1] * len(made)
    return Offsets(tuple(starts), tuple(ends), len(text))


def _pieces(text: str, kept: Iterable[int]) -> Iterator[list[int]]:
    """Parts that are composed each for itself: their compositions, joined, are that of the text."""
    places: list[int] = []
    piece = ""
    for place in kept:
        character = text[place]
        if piece and _begins(piece, character):
            yield places
            places, piece = [], ""
        places.append(place)
        piece += character
    if places:
        yield places


def _begins(piece: str, character: str) -> bool:
    """Whether a character is neither composed with what is before it nor put among its marks."""
    if character < "\u0300":  # below the first combining character
        return True
    if unicodedata.combining(unicodedata.normalize("NFD", character)[0]):
        return False
    apart = unicodedata.normalize("NFC", piece) + unicodedata.normalize("NFC", character)
    return unicodedata.normalize("NFC", piece + character) == apart
