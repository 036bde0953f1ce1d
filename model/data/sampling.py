"""Oversampling: number of copies of each record in an epoch, by class and by data set."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from triad_ml.model.layout import Layout
from triad_ml.transforms.spec.training import DATASET_FEATURE

Ids = npt.NDArray[np.int64]


def expected_copies(
    layout: Layout, columns: Mapping[str, npt.NDArray[Any]]
) -> npt.NDArray[np.float64] | None:
    """Computes the expected number of copies of each record in an epoch; None if each is read once.

    Args:
        layout: Layout with the task that has `imbalance: balanced_sampling`, and the `mixture`.
        columns: Classes and data set names of the records; see `scan.Survey.sampled`.

    Returns:
        float64 `[records]`, whose sum is the number of records.
    """
    task, mixture = layout.spec.balanced_task, layout.spec.mixture
    if task is None and (mixture is None or mixture.temperature == 1):
        return None
    count = len(next(iter(columns.values())))
    weights = np.ones(count)
    if task is not None:
        classes = columns[task]
        if classes.ndim == 1:
            weights = class_balance(classes, len(layout.classes[task]))
        else:
            weights = set_balance(classes)
    if mixture is not None:
        weights = tempered(weights, columns[DATASET_FEATURE], mixture.temperature)
    return weights * (count / weights.sum()) if count else weights


def class_balance(ids: Ids, num_classes: int) -> npt.NDArray[np.float64]:
    """Computes weights of records, float64 `[records]`, whose sum is the same in each class.

    The sum of all weights is the number of records.

    Args:
        ids: Class ids of the records, int64 `[records]`; a record without a known class gets the
            weight 1.
        num_classes: Number of classes of the task.
    """
    known = (ids >= 0) & (ids < num_classes)
    counts = np.bincount(ids[known], minlength=num_classes)
    share = known.sum() / np.maximum(counts * np.count_nonzero(counts), 1)
    return np.where(known, share[np.where(known, ids, 0)], 1.0)


def set_balance(sets: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Computes weights of records with sets of classes, float64 `[records]`.

    A record weighs as its rarest class does: by the inverse of the number of its records. So each
    class that occurs has at least the share that it would have if all had the same one, and where
    each set has one class, the weights are those of `class_balance`. The sum of the weights of
    records with classes is their number.

    Args:
        sets: True if a record has a class, bool `[records, classes]`; a record without any known
            class gets the weight 1.
    """
    counts = sets.sum(axis=0)
    rarest = np.where(sets, counts, len(sets) + 1).min(axis=1, initial=len(sets) + 1)
    known = sets.any(axis=1)
    weights = np.where(known, 1.0 / rarest, 0.0)
    return np.where(known, weights * (known.sum() / max(weights.sum(), 1e-300)), 1.0)


def tempered(
    weights: npt.NDArray[np.float64], datasets: npt.NDArray[Any], temperature: float
) -> npt.NDArray[np.float64]:
    """Scales weights so that each data set's sum is its number of records to the `temperature`.

    Args:
        weights: Weights of the records, float64 `[records]`; their ratios within a data set stay.
        datasets: Data set of each record, of any dtype `[records]`.
        temperature: Exponent: 1 keeps the sizes of the data sets, 0 makes all of them equal.
    """
    _, indices, counts = np.unique(datasets, return_inverse=True, return_counts=True)
    sums = np.bincount(indices, weights, minlength=len(counts))
    targets = np.power(counts.astype(np.float64), temperature)
    return weights * (targets / np.where(sums > 0, sums, 1.0))[indices]


def copies(expected: npt.NDArray[np.float64], random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draws the number of copies of each record: the expected number, rounded down or up.

    This is systematic sampling along a random order, so the sum is exactly the number of records.

    Args:
        expected: Expected numbers of copies; see `expected_copies`.
        random: Generator that draws the order and the start.

    Returns:
        int64 `[records]`.
    """
    count = len(expected)
    order = random.permutation(count)
    edges = np.minimum(np.floor(np.cumsum(expected[order]) + random.random()), count)
    edges[-1:] = count  # the cumulative sum may have a rounding error
    times = np.empty(count, np.int64)
    times[order] = np.diff(edges, prepend=0.0).astype(np.int64)
    return times
