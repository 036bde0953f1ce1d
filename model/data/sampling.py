"""How often each record comes in an epoch: rare classes and small data sets may come more often."""

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
    """How often each record comes in an epoch on average; None where each comes once.

    Args:
        layout: Gives the task with `imbalance: balanced_sampling`, and `mixture`.
        columns: By name, what `survey.Survey.sampled` holds.

    Returns:
        float64 `[records]`; they add up to the number of records.
    """
    task, mixture = layout.spec.balanced_task, layout.spec.mixture
    if task is None and (mixture is None or mixture.temperature == 1):
        return None
    count = len(next(iter(columns.values())))
    weights = np.ones(count)
    if task is not None:
        weights = class_balance(columns[task], len(layout.classes[task]))
    if mixture is not None:
        weights = tempered(weights, columns[DATASET_FEATURE], mixture.temperature)
    return weights * (count / weights.sum()) if count else weights


def class_balance(ids: Ids, num_classes: int) -> npt.NDArray[np.float64]:
    """Weights float64 `[records]` that give each class the same sum; they add up to `[records]`.

    Args:
        ids: Classes, int64 `[records]`; a record without a known class keeps the weight 1.
        num_classes: Of the task.
    """
    known = (ids >= 0) & (ids < num_classes)
    counts = np.bincount(ids[known], minlength=num_classes)
    share = known.sum() / np.maximum(counts * np.count_nonzero(counts), 1)
    return np.where(known, share[np.where(known, ids, 0)], 1.0)


def tempered(
    weights: npt.NDArray[np.float64], datasets: npt.NDArray[Any], temperature: float
) -> npt.NDArray[np.float64]:
    """Weights in which a data set's sum is its number of records to the power of `temperature`.

    Args:
        weights: Of the records, float64 `[records]`; inside a data set they keep their ratios.
        datasets: The data set of each record, of any type `[records]`.
        temperature: 1 is as many as there are, 0 is all data sets alike.
    """
    _, places, counts = np.unique(datasets, return_inverse=True, return_counts=True)
    now = np.bincount(places, weights, minlength=len(counts))
    wanted = np.power(counts.astype(np.float64), temperature)
    return weights * (wanted / np.where(now > 0, now, 1.0))[places]


def copies(expected: npt.NDArray[np.float64], random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draws how often each record comes: its expected number, rounded down or up at random.

    Systematic sampling along a random order: the numbers add up to that of the records.

    Args:
        expected: See `expected_copies`.
        random: Decides the order and the start.

    Returns:
        int64 `[records]`.
    """
    count = len(expected)
    order = random.permutation(count)
    edges = np.minimum(np.floor(np.cumsum(expected[order]) + random.random()), count)
    edges[-1:] = count  # the sum of the expected numbers may have a rounding error
    found = np.empty(count, np.int64)
    found[order] = np.diff(edges, prepend=0.0).astype(np.int64)
    return found
