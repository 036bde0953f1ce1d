"""Comparison of one or two statistics: a row for each feature, with figures and bars."""

import dataclasses
from collections.abc import Sequence

from triad_ml.pipelines.scoring.statistics_file import Opened
from triad_ml.transforms.statistics import drift
from triad_ml.transforms.statistics.document import Histogram, Part, Shares
from triad_ml.transforms.statistics.drift import Distance

SHOWN_VALUES = 12
"""Largest number of values of a categorical feature with a bar; the others are one bar."""

_OTHERS = "(others)"


@dataclasses.dataclass(frozen=True)
class Side:
    """One of the two statistics of a comparison.

    Attributes:
        name: Name of its origin and of its part.
        part: Statistics of the part.
    """

    name: str
    part: Part


@dataclasses.dataclass(frozen=True)
class Bar:
    """Bin or value, and the share of each side in it.

    Attributes:
        name: Interval of the bin, or the value.
        shares: Share of the side's values, for each side; None if it has none of the feature.
    """

    name: str
    shares: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True)
class Row:
    """One feature of all sides.

    Attributes:
        feature: Name of the feature.
        unit: Unit of a numeric feature; "" for a categorical one.
        figures: For each side the mean and deviation, or the most frequent values; "" if it does
            not have the feature.
        counts: For each side the number of values.
        bars: Bins without empty ones at the ends, or values.
        distance: Distance of both sides; None for one side, or if one lacks the feature.
    """

    feature: str
    unit: str
    figures: tuple[str, ...]
    counts: tuple[int, ...]
    bars: tuple[Bar, ...]
    distance: Distance | None

    @property
    def group(self) -> str:
        """First part of the name: a modality, or `label` or `score`."""
        return self.feature.partition(".")[0]

    @property
    def top(self) -> float:
        """Largest share of any bar."""
        return max(share or 0 for bar in self.bars for share in bar.shares)


def sides(opened: Sequence[Opened]) -> list[Side]:
    """Returns the parts that are compared; see `Opened.main`.

    Raises:
        OptionsError: Statistics are of no record.
    """
    return [Side(f"{one.name} ({one.main[0]})", one.main[1]) for one in opened]


def rows(compared: Sequence[Side]) -> list[Row]:
    """Returns the features of one or two sides, by name."""
    distances = {}
    if len(compared) == 2:
        first, second = (side.part for side in compared)
        distances = {one.feature: one for one in drift.distances(first, second)}
    numeric = sorted({name for side in compared for name in side.part.numeric})
    categorical = sorted({name for side in compared for name in side.part.categorical})
    found = [
        _numeric(name, [s.part.numeric.get(name) for s in compared], distances.get(name))
        for name in numeric
    ]
    found += [
        _categorical(name, [s.part.categorical.get(name) for s in compared], distances.get(name))
        for name in categorical
    ]
    return sorted(found, key=lambda row: row.feature)


def _numeric(feature: str, sides: Sequence[Histogram | None], distance: Distance | None) -> Row:
    known = [side for side in sides if side is not None]
    edges = known[0].edges
    names = [f"under {edges[0]:.4g}", *map(_between, edges, edges[1:]), f"from {edges[-1]:.4g}"]
    filled = [i for i in range(len(names)) if any(side.counts[i] for side in known)]
    bars = [
        Bar(names[i], tuple(side.counts[i] / side.count if side else None for side in sides))
        for i in range(filled[0], filled[-1] + 1)
    ]
    return Row(
        feature,
        known[0].unit,
        tuple(f"{side.mean:.4g} ± {side.std:.3g}" if side else "" for side in sides),
        tuple(side.count if side else 0 for side in sides),
        tuple(bars),
        distance,
    )


def _categorical(feature: str, sides: Sequence[Shares | None], distance: Distance | None) -> Row:
    total: dict[str, float] = {}
    for side in filter(None, sides):
        for value, count in side.counts.items():
            total[value] = total.get(value, 0) + count / side.total
    shown = sorted(total, key=lambda value: (-total[value], value))[:SHOWN_VALUES]
    bars = [Bar(value, tuple(_share(side, value) for side in sides)) for value in shown]
    rest = tuple(
        None if side is None or not side.total else 1 - sum(_share(side, v) or 0 for v in shown)
        for side in sides
    )
    if any(share is not None and share > 1e-9 for share in rest):
        bars.append(Bar(_OTHERS, rest))
    return Row(
        feature,
        "",
        tuple(_frequent(side) if side else "" for side in sides),
        tuple(side.total if side else 0 for side in sides),
        tuple(bars),
        distance,
    )


def _share(side: Shares | None, value: str) -> float | None:
    return None if side is None or not side.total else side.counts.get(value, 0) / side.total


def _frequent(side: Shares, most: int = 3) -> str:
    named = [f"{value} {count / side.total:.1%}" for value, count in side.counts.items()]
    more = [f"{len(named) - most} more"] if len(named) > most else []
    return ", ".join([*named[:most], *more])


def _between(low: float, high: float) -> str:
    return f"{low:.4g} to {high:.4g}"
