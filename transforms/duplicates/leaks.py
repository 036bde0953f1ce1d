"""Near-duplicates of records: named pairs, and records that leak from one split into another."""

from collections.abc import Callable

import numpy as np

from triad_ml.transforms.duplicates.document import Found, Pair, Place
from triad_ml.transforms.duplicates.search import Alike, Indices
from triad_ml.transforms.records.values import SPLITS

MOST_PAIRS = 1_000
"""Largest number of pairs that are named."""


def found(
    alike: Alike, splits: Indices, name: Callable[[int], str], plain: int, over: int
) -> Found:
    """Names near-duplicates by the ids of their records.

    Args:
        alike: Near-duplicates among the media of one modality.
        splits: Index in `SPLITS` of the split of each medium's record, int64 `[n]`.
        name: Function that returns the id of a medium's record.
        plain: Number of media without a fingerprint.
        over: Number of media that were not compared.
    """
    _, group, sizes = np.unique(alike.groups, return_inverse=True, return_counts=True)
    earliest = np.full(sizes.size, len(SPLITS))
    np.minimum.at(earliest, group, splits)
    leaking = splits > earliest[group]
    leaks = splits[alike.first] != splits[alike.second]
    order = np.lexsort((alike.second, alike.first, alike.distance, ~leaks))

    def place(medium: int) -> Place:
        return Place(name(medium), SPLITS[splits[medium]])

    pairs = tuple(
        Pair(
            place(int(alike.first[index])),
            place(int(alike.second[index])),
            round(float(alike.distance[index]), 4),
        )
        for index in order[:MOST_PAIRS]
    )
    return Found(
        compared=splits.size,
        plain=plain,
        over=over,
        crowded=alike.crowded,
        groups=int((sizes > 1).sum()),
        alike=int((sizes[group] > 1).sum()),
        leaks={
            split: int((leaking & (splits == number)).sum())
            for number, split in enumerate(SPLITS)
            if number
        },
        pairs=pairs,
        pairs_left_out=len(alike) - len(pairs),
    )
