"""Fingerprint of a text: MinHash of its runs of characters (Broder 1997)."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from triad_ml.transforms.duplicates.base import Bytes, Fingerprint, Floats, Keys, Vectors
from triad_ml.transforms.spec.modalities import Modalities

FEWEST_CHARACTERS = 20
"""Number of normal characters below which a text has too little content."""

MOST_CHARACTERS = 100_000
"""Number of characters of a longer text that count, from its beginning."""

_RUN = 5  # characters in a run
_HASHES = 128
_ROWS = 5  # hashes in a band
_MOST_RUNS = 2048  # of a longer text, the runs with the smallest hashes are taken
_NO_WORD = re.compile(r"[\W_]+")

_Words = npt.NDArray[np.uint64]


def _drawn(name: bytes, number: int) -> _Words:
    """Returns odd numbers that are the same on each machine, uint64 `[number]`."""
    content = hashlib.shake_256(b"triad near-duplicate texts " + name).digest(8 * number)
    return np.frombuffer(content, "<u8").astype(np.uint64) | np.uint64(1)


_POWERS = _drawn(b"runs", _RUN)
_FACTORS, _TERMS = _drawn(b"factors", _HASHES), _drawn(b"terms", _HASHES)
_IN_BAND = _drawn(b"bands", _ROWS)


def normal(text: str) -> str:
    """Returns a text in NFKC and without case, with one space for all that is between words."""
    return _NO_WORD.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


class TextFingerprint(Fingerprint):
    """128 hashes of 16 bits: of each hash function, the smallest value over all runs.

    A run is 5 consecutive characters of the `normal` text. The distance of two texts is the share
    of hashes that differ: an estimate of 1 - J, where J is the Jaccard index of their sets of runs,
    with a standard error of at most 0.045. A text below `FEWEST_CHARACTERS` has no fingerprint.
    """

    size: ClassVar[int] = 2 * _HASHES
    bucket_bits: ClassVar[int] = 64
    rough_limit: ClassVar[float] = 0.15
    limit: ClassVar[float] = 0.15

    def of(self, content: bytes, sections: Modalities) -> bytes | None:
        text = normal(content.decode("utf-8")[:MOST_CHARACTERS])
        if len(text) < FEWEST_CHARACTERS:
            return None
        codes = np.frombuffer(text.encode("utf-32-le"), "<u4").astype(np.uint64)
        runs = np.zeros(codes.size - _RUN + 1, np.uint64)
        for place, power in enumerate(_POWERS):
            runs += codes[place : place + runs.size] * power
        runs = _mixed(runs)
        if runs.size > _MOST_RUNS:
            runs = np.partition(runs, _MOST_RUNS)[:_MOST_RUNS]
        hashes = (_FACTORS[:, None] * runs + _TERMS[:, None]).min(axis=1)
        return _mixed(hashes).astype("<u2").tobytes()

    def vectors(self, fingerprints: Bytes) -> npt.NDArray[np.uint16]:
        return fingerprints.view("<u2")  # No copy: they stay where they are.

    def bands(self, vectors: Vectors) -> Iterator[Keys]:
        for start in range(0, _HASHES - _ROWS + 1, _ROWS):
            rows = vectors[:, start : start + _ROWS].astype(np.uint64)
            yield _mixed((rows * _IN_BAND).sum(axis=1, dtype=np.uint64))

    def rough(self, first: Vectors, second: Vectors) -> Floats:
        return np.asarray((first != second).mean(axis=1), np.float64)

    def distance(self, first: Bytes, second: Bytes) -> Floats:
        return self.rough(self.vectors(first), self.vectors(second))


def _mixed(values: _Words) -> _Words:
    """Spreads each bit over all bits: the finalizer of MurmurHash3."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        values = values ^ (values >> np.uint64(33))
        values = values * np.uint64(factor)
    return values ^ (values >> np.uint64(33))
