"""Metrics of a regression task, with bootstrap intervals."""

from typing import Any

import numpy as np
import numpy.typing as npt

from triad_ml.model.tasks import bootstrap
from triad_ml.model.tasks.bootstrap import Floats

_NAMES = ("rmse", "mae", "spearman")

DRAWN = 300
"""Largest number of records whose pair of label and prediction is kept for a plot."""


def regression(
    labels: npt.ArrayLike,
    predicted: npt.ArrayLike,
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Measures numbers against labels.

    Intervals are 95% percentile bootstraps over records; ranks are those of the whole split. What
    is undefined is None.

    Args:
        labels: float32 `[n, 2]`; see `targets.numbers.PARTS`. Rows without a label are left out.
        predicted: float32 `[n]`, in the units of the labels.
        seed: Seed of the bootstrap.
        resamples: Number of bootstrap resamples.

    Returns:
        JSON-able: `n`; `rmse`, `mae` and Spearman's rank correlation `spearman` (each value, low,
        high); `deviation`, the RMSE of always saying the mean of these labels; `pairs`, label and
        prediction of at most `DRAWN` records, evenly spaced in the order of the labels.

    Raises:
        ValueError: Where a prediction is not finite.
    """
    given, truth = np.asarray(labels, np.float64).reshape(-1, 2).T
    there = given >= 0
    truth, said = truth[there], np.asarray(predicted, np.float64)[there]
    if not np.isfinite(said).all():
        raise ValueError("a prediction is not finite")
    n = len(truth)
    statistics = _Statistics(truth, said)
    values = statistics(np.ones((1, n)))[0] if n else np.full(len(_NAMES), np.nan)
    drawn = bootstrap.resampled(statistics, n, 1, len(_NAMES), seed, resamples)
    return {
        "n": n,
        **{name: bootstrap.spread(values[i], drawn[:, i]) for i, name in enumerate(_NAMES)},
        "deviation": float(truth.std()) if n else None,
        "pairs": _spaced(truth, said),
    }


def _spaced(truth: Floats, said: Floats) -> list[tuple[float, float]]:
    order = np.argsort(truth, kind="stable")
    places = np.unique(np.linspace(0, len(order) - 1, min(DRAWN, len(order))).round().astype(int))
    return [(float(truth[place]), float(said[place])) for place in order[places]]


class _Statistics:
    """The metrics of records that weigh as often as they were drawn."""

    def __init__(self, truth: Floats, said: Floats) -> None:
        errors = said - truth
        self._columns = np.stack([errors**2, np.abs(errors)], axis=1)
        ranks = [_ranks(truth), _ranks(said)] if len(truth) else [truth, said]
        x, y = (one - one.mean() if len(one) else one for one in ranks)
        self._ranks = np.stack([x, y, x * x, y * y, x * y], axis=1)

    def __call__(self, weights: Floats) -> Floats:
        """Weights `[resamples, n]` -> `[resamples, metrics]` in the order of `_NAMES`."""
        total = weights.sum(axis=1)
        squared, absolute = (weights @ self._columns).T / total
        x, y, xx, yy, xy = (weights @ self._ranks).T / total
        varies = (xx - x * x) * (yy - y * y)
        there = varies > 1e-12
        spearman = np.where(there, (xy - x * y) / np.sqrt(np.where(there, varies, 1.0)), np.nan)
        return np.stack([np.sqrt(squared), absolute, spearman], axis=1)


def _ranks(values: Floats) -> Floats:
    """Ranks from 0 on; equal values share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[places]
