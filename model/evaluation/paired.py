"""Paired comparison of two models: the change of a figure on the same records."""

import math
from typing import NamedTuple

import numpy as np
from scipy import special

from triad_ml.model.tasks import bootstrap
from triad_ml.model.tasks.bootstrap import Floats, Statistic

LEVEL = 0.95
"""Probability with which the intervals of all compared changes hold together."""


class Change(NamedTuple):
    """Change of a figure from one model to another, on the same records.

    Attributes:
        n: Number of records.
        before: Figure of the first model; NaN if it is undefined on these records.
        after: Figure of the second model.
        deviation: Standard deviation of the difference over bootstrap resamples of the records.
    """

    n: int
    before: float
    after: float
    deviation: float

    @property
    def difference(self) -> float:
        return self.after - self.before

    def interval(self, comparisons: int) -> tuple[float, float]:
        """Returns the interval of the difference, which holds for several comparisons together.

        It is Student's t interval with the bootstrap's deviation (Efron and Tibshirani, 1993,
        chapter 12); the error of `LEVEL` is divided by the number of comparisons (Bonferroni).

        Args:
            comparisons: Number of changes that are looked at.
        """
        quantile = -float(special.stdtrit(self.n - 1, (1 - LEVEL) / 2 / comparisons))
        reach = quantile * self.deviation
        return self.difference - reach, self.difference + reach

    def worse(self, comparisons: int, lower_is_better: bool) -> bool:
        """Returns True if the whole interval is on the side of the first model."""
        low, high = self.interval(comparisons)
        return low > 0 if lower_is_better else high < 0


def change(
    before: Statistic, after: Statistic, n: int, *, seed: int = 0, resamples: int = 1000
) -> Change:
    """Compares the figures of two models on the same records.

    Both figures are computed on the same resamples, so what is easy or hard for both cancels out.

    Args:
        before: Figure of the first model.
        after: Figure of the second model.
        n: Number of records, at least one.
        seed: Seed of the bootstrap.
        resamples: Number of bootstrap resamples.
    """

    def both(weights: Floats) -> Floats:
        return np.stack([before(weights), after(weights)], axis=1)

    first, second = map(float, both(np.ones((1, n)))[0])
    drawn = np.diff(bootstrap.resampled(both, n, 1, 2, seed, resamples))
    defined = drawn[np.isfinite(drawn)]
    return Change(n, first, second, float(defined.std()) if len(defined) else math.nan)
