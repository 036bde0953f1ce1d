"""Parts that metrics share: bootstrap intervals, calibration and figures per class."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 15
"""Number of equal-width confidence bins in a calibration."""

_CELLS_AT_ONCE = 4_000_000
_RANKED_CELLS = 4_000_000_000

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

Statistic = Callable[[Floats], Floats]
"""Function from weights of the records, `[resamples, n]`, to a figure, `[resamples]`."""


def spread(value: float, drawn: Floats) -> dict[str, float | None]:
    """Returns a figure with the 95% percentile interval of its resamples."""
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, (0.025, 0.975)) if len(drawn) else (math.nan, math.nan)
    return {"value": _number(value), "low": _number(low), "high": _number(high)}


def resampled(
    statistics: Callable[[Floats], Floats],
    n: int,
    c: int,
    num_statistics: int,
    seed: int,
    resamples: int,
) -> Floats:
    """Computes statistics on bootstrap resamples, a few at a time so that memory stays bounded.

    Args:
        statistics: Function from weights `[resamples, n]` to `[resamples, num_statistics]`.
        n: Number of records.
        c: Number of classes; for many records and classes there are fewer resamples, at least 50.
        num_statistics: Number of statistics.
        seed: Seed of the draws.
        resamples: Number of resamples, each n records drawn with replacement.

    Returns:
        float64 `[resamples, num_statistics]`, without rows if there are no records.
    """
    if not n:
        return np.zeros((0, num_statistics))
    resamples = min(resamples, max(50, _RANKED_CELLS // max(1, n * c)))
    generator = np.random.default_rng(seed)
    step = max(1, _CELLS_AT_ONCE // n)
    parts = []
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        weights = generator.multinomial(n, np.full(n, 1 / n), size=size)
        parts.append(statistics(weights.astype(np.float64)))
    return np.concatenate(parts)


def mean(values: npt.ArrayLike) -> Statistic:
    """Returns the weighted mean of values `[n]`."""
    column = np.asarray(values, np.float64)
    return lambda weights: weights @ column / weights.sum(axis=1)


def mean_f1(right: npt.ArrayLike, predicted: npt.ArrayLike, labelled: npt.ArrayLike) -> Floats:
    """Computes macro-F1, `[resamples]`, from counts `[resamples, classes]`.

    The mean is over the classes that occur in the labels; it is NaN if none does.
    """
    occurs = np.asarray(labelled) > 0
    total = np.asarray(predicted, np.float64) + np.asarray(labelled)
    f1 = np.where(occurs, 2 * np.asarray(right) / np.maximum(total, 1), 0.0)
    num = occurs.sum(axis=1)
    return np.where(num > 0, f1.sum(axis=1) / np.maximum(num, 1), np.nan)


def calibration(confidence: Floats, right: Floats) -> dict[str, Any]:
    """Computes accuracy by confidence in `BINS` bins, and the expected calibration error `ece`."""
    indices = np.clip((confidence * BINS).astype(np.int64), 0, BINS - 1)
    counts = np.bincount(indices, minlength=BINS)
    confidences = np.bincount(indices, confidence, BINS)
    rights = np.bincount(indices, right, BINS)
    gaps = np.abs(confidences - rights).sum()
    return {
        "ece": float(gaps / len(confidence)) if len(confidence) else None,
        "bins": [
            {
                "low": i / BINS,
                "high": (i + 1) / BINS,
                "confidence": float(confidences[i] / counts[i]) if counts[i] else None,
                "accuracy": float(rights[i] / counts[i]) if counts[i] else None,
                "n": int(counts[i]),
            }
            for i in range(BINS)
        ],
    }


def per_class(
    classes: Sequence[str], right: npt.ArrayLike, predicted: npt.ArrayLike, labelled: npt.ArrayLike
) -> list[dict[str, Any]]:
    """Computes precision, recall and F1 of each class from counts by class."""
    counts = zip(
        classes, np.asarray(right), np.asarray(predicted), np.asarray(labelled), strict=True
    )
    return [
        {
            "class": name,
            "precision": float(hits / guesses) if guesses else None,
            "recall": float(hits / n) if n else None,
            "f1": float(2 * hits / (guesses + n)) if guesses + n else None,
            "n": int(n),
        }
        for name, hits, guesses, n in counts
    ]


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
