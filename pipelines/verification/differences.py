"""Largest differences between two computations of the same values, by feature and by head."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import rich.table
import rich.text

from triad_ml.pipelines.runtime import logs


@dataclasses.dataclass
class Difference:
    """Difference between two computations of one feature, or of one part of a head.

    Attributes:
        name: Name of the feature, or `<task>/<part>`.
        tolerance: Largest difference that passes; 0 for ids and bytes.
        records: Number of records compared.
        unequal: Number of records whose values differ at all.
        largest: Largest absolute difference; infinite if values cannot be subtracted.
        record: Id of the record with the largest difference.
    """

    name: str
    tolerance: float = 0.0
    records: int = 0
    unequal: int = 0
    largest: float = 0.0
    record: str = ""

    @property
    def passes(self) -> bool:
        """True if the largest difference is within the tolerance."""
        return self.largest <= self.tolerance

    def add(self, record_id: str, left: Any, right: Any) -> None:
        """Compares the values of one record; None stands for a missing value."""
        self.records += 1
        distance = _distance(np.asarray(left), np.asarray(right))
        if distance > 0:
            self.unequal += 1
        if distance > self.largest:
            self.largest, self.record = distance, record_id


def table(differences: Iterable[Difference], title: str) -> rich.table.Table:
    """Returns a table with a row for each difference: counts, largest difference and verdict."""
    shown = rich.table.Table(title=title, title_justify="left")
    for heading in ("compared", "records", "unequal", "largest difference", "tolerance", ""):
        shown.add_column(heading, justify="left" if heading in ("compared", "") else "right")
    for one in differences:
        verdict = "equal" if one.largest == 0 else "passes" if one.passes else "FAILS"
        where = f" (record {one.record})" if one.largest else ""
        shown.add_row(
            one.name,
            f"{one.records:,}",
            f"{one.unequal:,}",
            f"{one.largest:.3g}",
            f"{one.tolerance:g}",
            rich.text.Text(logs.printable(verdict + where)),  # an id may look like rich's markup
        )
    return shown


def _distance(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> float:
    if left.shape != right.shape or left.dtype.kind != right.dtype.kind:
        return float("inf")
    if left.dtype.kind not in "biuf":
        return 0.0 if np.array_equal(left, right) else float("inf")
    with np.errstate(invalid="ignore"):  # inf - inf is NaN, which counts as infinitely far
        apart = np.abs(left.astype(np.float64) - right.astype(np.float64))
    largest = float(apart.max(initial=0.0))
    return float("inf") if np.isnan(largest) else largest
