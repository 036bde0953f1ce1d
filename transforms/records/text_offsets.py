"""Offsets that map the characters of a canonical text to the caller's text, and back."""

import bisect
import dataclasses
import re
import unicodedata
from collections.abc import Iterable, Iterator

_ASCII_CONTROLS = bytes(code for code in (*range(32), 127) if code not in b"\t\n\r")


_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def without_controls(text: str) -> str:
    """Removes control characters from a text, except tabs and line ends."""
    return _CONTROLS.sub("", text)


@dataclasses.dataclass(frozen=True, slots=True)
class Offsets:
    """Offsets of a canonical text's characters, if canonicalization moved any.

    Characters are Unicode code points. Characters that were composed, such as a letter and its
    accent, are inseparable: a span that contains one of them contains all.

    Attributes:
        starts: Index of each canonical character's first character in the caller's text.
        ends: Index after each canonical character's last character in the caller's text.
        length: Number of characters in the caller's text.
    """

    starts: tuple[int, ...]
    ends: tuple[int, ...]
    length: int

    def outward(self, start: int, end: int) -> tuple[int, int]:
        """Maps canonical characters `[start, end)`, at least one, to a span of the caller's."""
        return self.starts[start], self.ends[end - 1]

    def inward(self, start: int, end: int) -> tuple[int, int]:
        """Maps the caller's characters `[start, end)` to the canonical ones made from any of them.

        Returns:
            Start and end of a span; it is empty (start >= end) if all characters were removed.
        """
        return bisect.bisect_right(self.ends, start), bisect.bisect_left(self.starts, end)


def composed(text: str, kept: Iterable[int]) -> Offsets:
    """Returns the offsets of some characters of a text after their composition (NFC).

    Args:
        text: The caller's text.
        kept: Indices of the characters that remain and are composed, rising.
    """
    starts: list[int] = []
    ends: list[int] = []
    for indices in _pieces(text, kept):
        made = unicodedata.normalize("NFC", "".join(text[index] for index in indices))
        starts += [indices[0]] * len(made)
        ends += [indices[-1] + 1] * len(made)
    return Offsets(tuple(starts), tuple(ends), len(text))


def _pieces(text: str, kept: Iterable[int]) -> Iterator[list[int]]:
    """Yields the indices of parts that can be composed one by one.

    The joined compositions of the parts equal the composition of the text.
    """
    indices: list[int] = []
    piece = ""
    for index in kept:
        character = text[index]
        if piece and _begins(piece, character):
            yield indices
            indices, piece = [], ""
        indices.append(index)
        piece += character
    if indices:
        yield indices


def _begins(piece: str, character: str) -> bool:
    """Returns True if a character begins a part.

    It then neither composes with the part before it, nor is reordered among that part's marks.
    """
    if character < "\u0300":  # below the first combining character
        return True
    if unicodedata.combining(unicodedata.normalize("NFD", character)[0]):
        return False
    apart = unicodedata.normalize("NFC", piece) + unicodedata.normalize("NFC", character)
    return unicodedata.normalize("NFC", piece + character) == apart
