"""Search of near-duplicates among fingerprints, in near-linear time and bounded memory."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph

from triad_ml.transforms.duplicates.base import Bytes, Fingerprint, Floats, Keys, Vectors

NEIGHBOURS = 32
"""Number of following members of a bucket with which each member is compared.

So a band costs at most 32 comparisons for each medium, however full its buckets are. A bucket with
more members is cut: its members are sorted by their keys, and only near ones are compared.
"""

_FEWEST_BITS = 6
_ROWS = 2**13  # vectors that are compared at once
_PAIRS = 512  # fingerprints that are compared at once

Indices = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Alike:
    """Near-duplicates among `n` media.

    Pairs join groups: no pair is listed whose media were joined before its step of the search, so
    there are not many more pairs than media. A chain of pairs joins all media of a group.

    Attributes:
        first: Index of one medium of each pair, int64 `[pairs]`.
        second: Index of the other medium, which is larger.
        distance: Distance of both, float64 `[pairs]`.
        groups: Smallest index in the group of each medium, int64 `[n]`; its own if it has no
            near-duplicate.
        crowded: Number of media whose bucket is cut in each band, and holds media of several groups
            even so: near-duplicates of them can be missed.
    """

    first: Indices
    second: Indices
    distance: Floats
    groups: Indices
    crowded: int

    def __len__(self) -> int:
        return len(self.first)


def find(fingerprints: Bytes, fingerprint: Fingerprint) -> Alike:
    """Finds the near-duplicates among media.

    Equal fingerprints are joined first. Of different ones, those in one bucket of any band are
    compared, `NEIGHBOURS` at most in each band.

    Args:
        fingerprints: Fingerprints, uint8 `[n, size]`; they may be mapped from a file.
        fingerprint: Fingerprint of their modality.
    """
    number = len(fingerprints)
    same = _same(fingerprints)
    different = np.flatnonzero(same == np.arange(number))
    equal = np.flatnonzero(same != np.arange(number))
    found = [_Pairs(same[equal], equal, np.zeros(equal.size))]
    vectors = fingerprint.vectors(fingerprints)
    labels = same.copy()
    crowded = np.ones(different.size, bool)
    for keys in fingerprint.bands(vectors):
        buckets = _Buckets.of(keys[different], fingerprint.bucket_bits)
        for a, b in buckets.candidates():
            first, second = different[a], different[b]
            apart = labels[first] != labels[second]
            pairs = _compared(first[apart], second[apart], vectors, fingerprints, fingerprint)
            if pairs.first.size:
                labels = _joined(labels, pairs)
                found.append(pairs)
        crowded &= buckets.cut(labels[different])
    whole = _concatenated(found)
    return Alike(
        np.minimum(whole.first, whole.second),
        np.maximum(whole.first, whole.second),
        whole.distance,
        labels,
        int(crowded.sum()),
    )


class _Pairs(NamedTuple):
    first: Indices
    second: Indices
    distance: Floats


@dataclasses.dataclass(frozen=True)
class _Buckets:
    """Media of one band in the order of their keys.

    Attributes:
        order: Indices of the media.
        names: Name of the bucket of each, ascending.
    """

    order: Indices
    names: Keys

    @classmethod
    def of(cls, keys: Keys, most_bits: int) -> "_Buckets":
        """Returns buckets of about one medium each, if the keys are spread evenly."""
        order = np.argsort(keys, kind="stable")
        bits = min(most_bits, max(_FEWEST_BITS, math.ceil(math.log2(max(keys.size, 2)))))
        return cls(order, keys[order] >> np.uint64(64 - bits))

    def candidates(self) -> Iterator[tuple[Indices, Indices]]:
        """Yields pairs of media of one bucket: each with its next one, then the next but one..."""
        for step in range(1, min(NEIGHBOURS, self.order.size - 1) + 1):
            near = np.flatnonzero(self.names[step:] == self.names[:-step])
            if not near.size:
                return
            yield self.order[near], self.order[near + step]

    def cut(self, labels: Indices) -> npt.NDArray[np.bool_]:
        """Returns True for each medium whose bucket has more members than are compared.

        A bucket is whole if all its members are in one group, as `labels` `[n]` has them.
        """
        ordered = labels[self.order]
        new = np.flatnonzero(np.diff(self.names, prepend=~self.names[:1]))
        sizes = np.diff(new, append=self.order.size)
        mixed = np.minimum.reduceat(ordered, new) < np.maximum.reduceat(ordered, new)
        cut = np.empty(self.order.size, bool)
        cut[self.order] = np.repeat((sizes > NEIGHBOURS + 1) & mixed, sizes)
        return cut


def _compared(
    first: Indices,
    second: Indices,
    vectors: Vectors,
    fingerprints: Bytes,
    fingerprint: Fingerprint,
) -> _Pairs:
    """Returns the near-duplicates among pairs of media, with their distances."""
    near = [np.empty(0, np.int64)]
    for rows in _parts(np.arange(first.size), _ROWS):
        distances = fingerprint.rough(vectors[first[rows]], vectors[second[rows]])
        near.append(rows[distances <= fingerprint.rough_limit])
    found = [_Pairs(first[:0], second[:0], np.empty(0))]
    for rows in _parts(np.concatenate(near), _PAIRS):
        a, b = first[rows], second[rows]
        distances = fingerprint.distance(fingerprints[a], fingerprints[b])
        alike = distances <= fingerprint.limit
        found.append(_Pairs(a[alike], b[alike], distances[alike]))
    return _concatenated(found)


def _joined(labels: Indices, pairs: _Pairs) -> Indices:
    """Returns the smallest index in the group of each medium, after pairs have joined some."""
    edges = (np.ones(pairs.first.size), (labels[pairs.first], labels[pairs.second]))
    graph = sparse.coo_array(edges, shape=(labels.size, labels.size))
    _, names = csgraph.connected_components(graph, directed=False)
    least = np.full(labels.size, labels.size)
    np.minimum.at(least, names, np.arange(labels.size))
    joined: Indices = least[names[labels]]
    return joined


def _same(fingerprints: Bytes) -> Indices:
    """Returns the smallest index of an equal fingerprint for each, int64 `[n]`."""
    same = np.arange(len(fingerprints))
    digests = np.concatenate(
        [
            np.empty(0, np.uint64),
            *(_digests(fingerprints[rows]) for rows in _parts(same, _ROWS)),
        ]
    )
    _, least, place = np.unique(digests, return_index=True, return_inverse=True)
    for rows in _parts(same, _ROWS):
        first = least[place[rows]]
        equal = (fingerprints[rows] == fingerprints[first]).all(axis=1)
        same[rows[equal]] = first[equal]
    return same


def _digests(fingerprints: Bytes) -> Keys:
    """Returns digests, uint64 `[n]`; those of different fingerprints are seldom equal."""
    words = fingerprints.view("<u4").astype(np.uint64)
    factors = np.random.default_rng(0).integers(2**63, 2**64, words.shape[1], np.uint64)
    digests: Keys = (words * (factors | np.uint64(1))).sum(axis=1, dtype=np.uint64)
    return digests


def _concatenated(pairs: Sequence[_Pairs]) -> _Pairs:
    return _Pairs(*map(np.concatenate, zip(*pairs, strict=True)))


def _parts(indices: Indices, size: int) -> Iterator[Indices]:
    return (indices[start : start + size] for start in range(0, indices.size, size))
