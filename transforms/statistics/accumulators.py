"""Mergeable counts of numbers, values and digests, exact and independent of the order."""

import bisect
import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np

from triad_ml.transforms.records.values import SPLITS
from triad_ml.transforms.statistics.measures import Scale

WHOLE = "all"
"""Name of the split of records that are in none, as in scoring."""

TOP_VALUES = 1_000
"""Number of values of a `Categorical` in its summary."""

MOST_VALUES = 100_000
"""Number of different values up to which a `Categorical` counts them."""

MOST_DIGESTS = 1_000_000
"""Number of different digests up to which `Digests` counts them."""

NAMES = (*SPLITS, WHOLE)
"""Names of the splits in statistics."""

_BITS = {name: 1 << index for index, name in enumerate(NAMES)}


@dataclasses.dataclass
class Numeric:
    """Histogram and exact moments of one measure, in whole steps of its scale."""

    bins: list[int]
    count: int = 0
    low: int = 0
    high: int = 0
    total: int = 0
    squares: int = 0

    @classmethod
    def empty(cls, scale: Scale) -> Self:
        """Returns an accumulator without values."""
        return cls(bins=[0] * (len(scale.edges) + 1))

    def add(self, value: float, scale: Scale) -> None:
        """Counts one value, given in the scale's unit."""
        steps = round(value * scale.resolution)
        self.bins[bisect.bisect_right(scale.edges, value)] += 1
        self.low = min(self.low, steps) if self.count else steps
        self.high = max(self.high, steps) if self.count else steps
        self.count += 1
        self.total += steps
        self.squares += steps * steps

    def extend(self, values: Iterable[float], scale: Scale) -> None:
        """Counts several values at once, with the same result as `add` for each of them."""
        numbers = np.asarray(values, np.float64)
        if not numbers.size:
            return
        places = np.searchsorted(np.asarray(scale.edges), numbers, side="right")
        steps = [round(value) for value in (numbers * scale.resolution).tolist()]
        self.merge(
            Numeric(
                bins=np.bincount(places, minlength=len(self.bins)).tolist(),
                count=len(steps),
                low=min(steps),
                high=max(steps),
                total=sum(steps),
                squares=sum(step * step for step in steps),
            )
        )

    def merge(self, other: "Numeric") -> None:
        """Adds the counts of `other`."""
        if not other.count:
            return
        self.low = min(self.low, other.low) if self.count else other.low
        self.high = max(self.high, other.high) if self.count else other.high
        self.bins = [mine + theirs for mine, theirs in zip(self.bins, other.bins, strict=True)]
        self.count += other.count
        self.total += other.total
        self.squares += other.squares

    def summary(self, scale: Scale) -> dict[str, Any]:
        """Returns moments in the scale's unit, and the bins in `counts`, one more than `edges`."""
        variance = self.count * self.squares - self.total * self.total
        return {
            "count": self.count,
            "min": self.low / scale.resolution,
            "max": self.high / scale.resolution,
            "mean": self.total / self.count / scale.resolution,
            "std": math.sqrt(variance) / self.count / scale.resolution,
            "unit": scale.unit,
            "edges": list(scale.edges),
            "counts": list(self.bins),
        }


@dataclasses.dataclass
class Categorical:
    """Counts of values.

    Attributes:
        counts: Number of occurrences by value; None after more than `MOST_VALUES` different values.
        total: Number of all values.
    """

    counts: dict[str, int] | None = dataclasses.field(default_factory=dict)
    total: int = 0

    def add(self, value: str) -> None:
        """Counts one value."""
        self._take(value, 1)
        self.total += 1

    def merge(self, other: "Categorical") -> None:
        """Adds the counts of `other`."""
        self.total += other.total
        if other.counts is None:
            self.counts = None
            return
        for value, count in other.counts.items():
            self._take(value, count)

    def extend(self, counts: Mapping[str, int]) -> None:
        """Counts several values at once, each as often as `counts` says."""
        self.merge(Categorical(dict(counts), sum(counts.values())))

    def summary(self, least: int = 1) -> dict[str, Any]:
        """Returns counts of the `TOP_VALUES` most frequent values, and the sum of the others.

        Args:
            least: Smallest number of occurrences with which a value is listed.
        """
        if self.counts is None:
            return {"total": self.total, "distinct": None, "counts": {}, "other": self.total}
        listed = ((value, count) for value, count in self.counts.items() if count >= least)
        ranked = sorted(listed, key=lambda pair: (-pair[1], pair[0]))
        top = dict(ranked[:TOP_VALUES])
        return {
            "total": self.total,
            "distinct": len(self.counts),
            "counts": top,
            "other": self.total - sum(top.values()),
        }

    def _take(self, value: str, count: int) -> None:
        if self.counts is None:
            return
        self.counts[value] = self.counts.get(value, 0) + count
        if len(self.counts) > MOST_VALUES:
            self.counts = None


@dataclasses.dataclass
class Digests:
    """Splits in which each medium occurred.

    Attributes:
        splits: Bits of the splits by digest of the medium; None after more than `MOST_DIGESTS`
            different media.
        total: Number of all media.
    """

    splits: dict[int, int] | None = dataclasses.field(default_factory=dict)
    total: int = 0

    def add(self, digest: int, split: str) -> None:
        """Counts one medium."""
        self.total += 1
        self._take(digest, _BITS[split])

    def merge(self, other: "Digests") -> None:
        """Adds the counts of `other`."""
        self.total += other.total
        if other.splits is None:
            self.splits = None
            return
        for digest, bits in other.splits.items():
            self._take(digest, bits)

    def summary(self) -> dict[str, Any]:
        """Returns numbers of media, None if unknown; `shared` media are in more than one split."""
        if self.splits is None:
            return {"total": self.total, "distinct": None, "duplicates": None, "shared": None}
        return {
            "total": self.total,
            "distinct": len(self.splits),
            "duplicates": self.total - len(self.splits),
            "shared": sum(1 for bits in self.splits.values() if bits & (bits - 1)),
        }

    def _take(self, digest: int, bits: int) -> None:
        if self.splits is None:
            return
        self.splits[digest] = self.splits.get(digest, 0) | bits
        if len(self.splits) > MOST_DIGESTS:
            self.splits = None
