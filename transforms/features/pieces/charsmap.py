"""Reader of SentencePiece's compiled normalization rules, a double-array trie with its texts.

The bytes are a 32-bit size, a trie of that many bytes, and the replacements, each ended by a zero
byte. A path through the trie is a text; its leaf is the offset of the text's replacement.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

_LEAF = 1 << 8
_VALUE = (1 << 31) - 1
_MOST_BYTES = 1 << 24
_LEADS = (
    *((range(0x01, 0x80), 0), (range(0xC2, 0xE0), 1)),
    *((range(0xE0, 0xF0), 2), (range(0xF0, 0xF5), 3)),
)
"""First bytes of a character in UTF-8, with the number of bytes behind."""


class BadRules(Exception):
    """Bytes that are no compiled rules."""


def read(content: bytes) -> Mapping[str, str]:
    """Returns the replacement of each single character that the rules replace.

    Rules for several characters, which compose letters and marks, are left out.

    Raises:
        BadRules: If the bytes contradict themselves.
    """
    size = int.from_bytes(content[:4], "little")
    if not 4 <= len(content) <= _MOST_BYTES or size % 4 or not 0 < size <= len(content) - 4:
        raise BadRules(f"{len(content)} bytes hold no trie of {size} bytes")
    units = np.frombuffer(content[4 : 4 + size], "<u4")
    texts = content[4 + size :]
    try:
        return {
            key.decode("utf-8"): texts[offset : texts.index(b"\0", offset)].decode("utf-8")
            for key, offset in _paths(units)
        }
    except ValueError as error:  # no UTF-8, or a replacement without end
        raise BadRules(str(error)) from error


def _paths(units: npt.NDArray[np.uint32]) -> list[tuple[bytes, int]]:
    """Returns the single characters of the trie with their values."""
    offsets = (units >> 10).astype(np.int64) << ((units & (1 << 9)) >> 6).astype(np.int64)
    found: list[tuple[bytes, int]] = []
    for leads, behind in _LEADS:
        places, keys = offsets[:1], [b""]
        for letters in (leads, *[range(0x80, 0xC0)] * behind):
            columns = np.array(letters)
            targets = places[:, None] ^ columns[None]
            inside = targets < len(units)
            labels = np.where(inside, units[np.where(inside, targets, 0)], 0)
            rows, chosen = np.nonzero(inside & ((labels & ((1 << 31) | 0xFF)) == columns[None]))
            here = targets[rows, chosen]
            pairs = zip(rows.tolist(), columns[chosen].tolist(), strict=True)
            keys = [keys[row] + bytes([letter]) for row, letter in pairs]
            places = here ^ offsets[here]
        leaves = np.nonzero(units[here] & _LEAF)[0]
        if len(leaves) and places[leaves].max() >= len(units):
            raise BadRules("the trie leads out of itself")
        found += [(keys[leaf], int(units[places[leaf]] & _VALUE)) for leaf in leaves]
    return found
