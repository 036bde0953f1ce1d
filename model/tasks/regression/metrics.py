"""Metrics of a regression task, with bootstrap intervals."""

from typing import Any

import numpy as np
import numpy.typing as npt

from triad_ml.model.tasks import bootstrap
from triad_ml.model.tasks.bootstrap import Floats, Statistic

_NAMES = ("rmse", "mae", "spearman")

DRAWN = 300
"""Largest number of records whose label and prediction are kept for a plot."""


def regression(
    labels: npt.ArrayLike,
    predicted: npt.ArrayLike,
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Computes the metrics of predicted numbers.

    Intervals are 95% percentile bootstraps over records, with the ranks of the whole split.
    Undefined figures are None.

    Args:
        labels: float32 `[n, 2]`; see `targets.numbers.PARTS`. Rows without a label are left out.
        predicted: float32 `[n]`, in the units of the labels.
        seed: Seed of the bootstrap.
        resamples: Number of bootstrap resamples.

    Returns:
        JSON-able: `n`; `rmse`, `mae` and Spearman's rank correlation `spearman` (each value, low,
        high); `deviation`, the RMSE of always predicting the mean of these labels; `pairs`, label
        and prediction of at most `DRAWN` records, evenly spaced in the order of the labels.

    Raises:
        ValueError: If a prediction is not finite.
    """
    given, truth = np.asarray(labels, np.float64).reshape(-1, 2).T
    labelled = given >= 0
    truth, guesses = truth[labelled], np.asarray(predicted, np.float64)[labelled]
    if not np.isfinite(guesses).all():
        raise ValueError("a prediction is not finite")
    n = len(truth)
    statistics = _Statistics(truth, guesses)
    values = statistics(np.ones((1, n)))[0] if n else np.full(len(_NAMES), np.nan)
    drawn = bootstrap.resampled(statistics, n, 1, len(_NAMES), seed, resamples)
    return {
        "n": n,
        **{name: bootstrap.spread(values[i], drawn[:, i]) for i, name in enumerate(_NAMES)},
        "deviation": float(truth.std()) if n else None,
        "pairs": _spaced(truth, guesses),
    }


def rmse(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> Statistic:
    """Returns the RMSE; see `regression`. Each record has a label."""
    errors = np.asarray(predicted, np.float64) - np.asarray(labels, np.float64)[:, 1]
    squared = bootstrap.mean(errors**2)
    return lambda weights: np.sqrt(squared(weights))


def _spaced(truth: Floats, guesses: Floats) -> list[tuple[float, float]]:
    order = np.argsort(truth, kind="stable")
    chosen = np.unique(np.linspace(0, len(order) - 1, min(DRAWN, len(order))).round().astype(int))
    return [(float(truth[row]), float(guesses[row])) for row in order[chosen]]


class _Statistics:
    """Metrics of numbers, for records weighted by how often a resample drew them."""

    def __init__(self, truth: Floats, guesses: Floats) -> None:
        errors = guesses - truth
        self._columns = np.stack([errors**2, np.abs(errors)], axis=1)
        ranks = [_ranks(truth), _ranks(guesses)] if len(truth) else [truth, guesses]
        x, y = (values - values.mean() if len(values) else values for values in ranks)
        self._ranks = np.stack([x, y, x * x, y * y, x * y], axis=1)

    def __call__(self, weights: Floats) -> Floats:
        """Computes the metrics, float64 `[resamples, 3]`, in the order of `_NAMES`.

        Args:
            weights: Weights of the records, float64 `[resamples, n]`.
        """
        total = weights.sum(axis=1)
        squared, absolute = (weights @ self._columns).T / total
        x, y, xx, yy, xy = (weights @ self._ranks).T / total
        varies = (xx - x * x) * (yy - y * y)
        defined = varies > 1e-12
        spearman = np.where(defined, (xy - x * y) / np.sqrt(np.where(defined, varies, 1.0)), np.nan)
        return np.stack([np.sqrt(squared), absolute, spearman], axis=1)


def _ranks(values: Floats) -> Floats:
    """Computes ranks from 0; equal values get the mean of their ranks."""
    _, indices, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[indices]
