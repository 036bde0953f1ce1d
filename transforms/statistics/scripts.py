"""Script of a text, such as Latin or Cyrillic: that of most of its letters."""

import numpy as np

NONE = "none"
"""Script of a text without letters."""

_OTHER = "other"
_BLOCKS = (
    (0x0000, NONE),
    (0x0041, "latin"),
    (0x005B, NONE),
    (0x0061, "latin"),
    (0x007B, NONE),
    (0x00C0, "latin"),
    (0x0250, NONE),
    (0x0370, "greek"),
    (0x0400, "cyrillic"),
    (0x0530, "armenian"),
    (0x0590, "hebrew"),
    (0x0600, "arabic"),
    (0x0700, _OTHER),
    (0x0900, "devanagari"),
    (0x0980, _OTHER),
    (0x0E00, "thai"),
    (0x0E80, _OTHER),
    (0x10A0, "georgian"),
    (0x1100, "hangul"),
    (0x1200, _OTHER),
    (0x1E00, "latin"),
    (0x1F00, "greek"),
    (0x2000, NONE),
    (0x3040, "kana"),
    (0x3100, NONE),
    (0x3400, "han"),
    (0xA000, _OTHER),
    (0xAC00, "hangul"),
    (0xD7B0, NONE),
    (0xF900, "han"),
    (0xFB00, NONE),
    (0x20000, "han"),
    (0x323B0, NONE),
)
"""First code points of ranges, ascending, and the script of the letters in each range.

The ranges are blocks of Unicode 16; a few signs in these blocks count as letters.
"""

_STARTS = np.array([start for start, _ in _BLOCKS], np.uint32)
_NAMES = tuple(sorted({name for _, name in _BLOCKS} - {NONE}))
_INDEX = np.array([_NAMES.index(name) if name != NONE else len(_NAMES) for _, name in _BLOCKS])


def script(text: str) -> str:
    """Returns the script of most letters of a text; `NONE` if it has no letter.

    Of equally frequent scripts it is the first in the alphabet. Japanese that has more Kana than
    Han is `kana`.
    """
    if text.isascii():
        return "latin" if any(map(str.isalpha, text)) else NONE
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    places = np.searchsorted(_STARTS, points, side="right") - 1
    counts = np.bincount(_INDEX[places], minlength=len(_NAMES) + 1)[: len(_NAMES)]
    return _NAMES[int(counts.argmax())] if counts.any() else NONE
