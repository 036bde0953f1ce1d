"""Thresholds of a task with sets of classes: lowest probability of each class in a set."""

import numpy as np
import numpy.typing as npt

DEFAULT = 0.5
"""Threshold of a class for which no better one is chosen."""

LEAST = 3
"""Smallest number of records of a class that choose its threshold; fewer decide by chance."""


def best_by_f1(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[float, ...]:
    """Chooses for each class the threshold with the highest F1.

    A class keeps `DEFAULT` unless it has `LEAST` records and another threshold is better. A
    threshold lies in the middle between two neighbouring probabilities; of equally good ones the
    closest to `DEFAULT` is taken.

    Args:
        labels: `[n, classes + 1]` of 0 and 1, as in `metrics.multi_label`; a row of -1 if the label
            is missing.
        probabilities: float32 `[n, classes]`.

    Returns:
        Thresholds, numbers that float32 holds exactly, over 0 and below 1.
    """
    truth, likely = np.asarray(labels), np.asarray(probabilities, np.float32)
    known = (truth >= 0).all(axis=1)
    truth, likely = truth[known, : likely.shape[1]] > 0, likely[known]
    return tuple(_best(one, own) for one, own in zip(likely.T, truth.T, strict=True))


def _best(likely: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_]) -> float:
    total = int(truth.sum())
    if total < LEAST:
        return DEFAULT
    order = np.argsort(-likely, kind="stable")
    ranked = likely[order]
    below = np.append(ranked[1:], np.float32(0))
    hits, taken = np.cumsum(truth[order]), np.arange(1, len(ranked) + 1)
    f1 = 2 * hits / (taken + total)
    middle = ((ranked.astype(np.float64) + below) / 2).astype(np.float32)
    middle = np.where((below < middle) & (middle <= ranked), middle, ranked)
    possible = (below < ranked) & (middle > 0) & (middle < 1)
    right = truth & (likely >= DEFAULT)
    now = 2 * right.sum() / (int((likely >= DEFAULT).sum()) + total)
    better = possible & (f1 > now)
    if not better.any():
        return DEFAULT
    best = np.flatnonzero(better & (f1 == f1[better].max()))
    return float(middle[best[np.abs(middle[best] - DEFAULT).argmin()]])
