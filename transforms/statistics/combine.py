"""Beam CombineFn of statistics on media and labels, independent of the order of the records."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import apache_beam as beam

from triad_ml.transforms.records.values import MODALITIES, CanonicalRecord
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.statistics.accumulators import NAMES, Categorical, Digests, Numeric
from triad_ml.transforms.statistics.measures import DRAWN, Measured, Measures, measure, scale

FEWEST_DRAWN = 2
"""Smallest number of records with which a word that was drawn from their texts is listed."""


@dataclasses.dataclass
class Accumulator:
    """Counts of the records so far, by split and feature.

    `sampled` counts the records whose media were measured.

    Merging is associative and commutative to the last bit: everything is a whole number, and
    counts that grow too large are dropped in every order.
    """

    records: dict[str, int] = dataclasses.field(default_factory=dict)
    sampled: dict[str, int] = dataclasses.field(default_factory=dict)
    numeric: dict[tuple[str, str], Numeric] = dataclasses.field(default_factory=dict)
    categorical: dict[tuple[str, str], Categorical] = dataclasses.field(default_factory=dict)
    digests: dict[str, Digests] = dataclasses.field(default_factory=dict)

    def add(self, split: str, measured: Measured) -> None:
        """Counts one record in `split`, one of `accumulators.NAMES`."""
        if split not in NAMES:
            raise ValueError(f"split must be one of {', '.join(NAMES)}, got {split!r}")
        self.records[split] = self.records.get(split, 0) + 1
        for feature, category in measured.categories:
            self.categories(split, feature).add(category)
        for modality, digest in measured.digests:
            self._digests(modality).add(digest, split)
        if measured.measures is not None:
            self.add_sampled(split, measured.measures)

    def add_sampled(self, split: str, measures: Measures) -> None:
        """Counts the measures of the media of one record."""
        self.sampled[split] = self.sampled.get(split, 0) + 1
        for feature, value in measures.items():
            if isinstance(value, str):
                self.categories(split, feature).add(value)
            else:
                self.numbers(split, feature).add(value, scale(feature))

    def numbers(self, split: str, feature: str) -> Numeric:
        """Returns the accumulator of a numeric feature."""
        key = (split, feature)
        if key not in self.numeric:
            self.numeric[key] = Numeric.empty(scale(feature))
        return self.numeric[key]

    def categories(self, split: str, feature: str) -> Categorical:
        """Returns the accumulator of a categorical feature."""
        return self.categorical.setdefault((split, feature), Categorical())

    def merge(self, other: "Accumulator") -> None:
        """Adds the counts of `other`, which stays unchanged."""
        for split, count in other.records.items():
            self.records[split] = self.records.get(split, 0) + count
        for split, count in other.sampled.items():
            self.sampled[split] = self.sampled.get(split, 0) + count
        for (split, feature), numeric in other.numeric.items():
            self.numbers(split, feature).merge(numeric)
        for (split, feature), categorical in other.categorical.items():
            self.categories(split, feature).merge(categorical)
        for modality, digests in other.digests.items():
            self._digests(modality).merge(digests)

    def _digests(self, modality: str) -> Digests:
        return self.digests.setdefault(modality, Digests())


def merged(accumulators: Iterable[Accumulator]) -> Accumulator:
    """Returns a new accumulator with the counts of all given ones."""
    whole = Accumulator()
    for accumulator in accumulators:
        whole.merge(accumulator)
    return whole


def summary(accumulator: Accumulator) -> dict[str, Any]:
    """Returns the statistics as JSON values, in an order that does not depend on the records.

    Returns:
        `splits`: for each split, the number of `records`, the number of `sampled` ones, to which
        measures of media are restricted, the `numeric` features (`count`, `min`, `max`, `mean`,
        `std`, `unit`, `edges`, `counts`) and the `categorical` ones (`total`, `distinct`, `counts`,
        `other`). `media`: for each modality, the numbers of `total`,
        `distinct`, `duplicates` (exact ones) and `shared` media; see `Digests`.
    """
    return {
        "splits": {
            split: _split_summary(accumulator, split)
            for split in NAMES
            if split in accumulator.records
        },
        "media": {
            modality: accumulator.digests[modality].summary()
            for modality in MODALITIES
            if modality in accumulator.digests
        },
    }


def _split_summary(accumulator: Accumulator, wanted: str) -> dict[str, Any]:
    numeric = {
        feature: value.summary(scale(feature))
        for (split, feature), value in sorted(accumulator.numeric.items())
        if split == wanted
    }
    categorical = {
        feature: value.summary(FEWEST_DRAWN if feature in DRAWN else 1)
        for (split, feature), value in sorted(accumulator.categorical.items())
        if split == wanted
    }
    return {
        "records": accumulator.records[wanted],
        "sampled": accumulator.sampled.get(wanted, 0),
        "numeric": numeric,
        "categorical": categorical,
    }


class StatisticsFn(beam.CombineFn):
    """Combines pairs of a split and a `CanonicalRecord` into one `summary`.

    A split is one of `accumulators.NAMES`. Without input, the summary has no splits.

    Args:
        spec: Spec with the modalities and labels to measure.
        share: Share of the records whose media are measured, see `sampling`.
    """

    def __init__(self, spec: Spec, share: float = 1.0) -> None:
        super().__init__()
        self._spec = spec
        self._share = share

    def create_accumulator(self) -> Accumulator:
        return Accumulator()

    def add_input(
        self, accumulator: Accumulator, element: tuple[str, CanonicalRecord]
    ) -> Accumulator:
        split, record = element
        accumulator.add(split, measure(record, self._spec, self._share))
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Accumulator]) -> Accumulator:
        return merged(accumulators)

    def extract_output(self, accumulator: Accumulator) -> dict[str, Any]:
        return summary(accumulator)
