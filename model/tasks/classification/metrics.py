"""Metrics of a classification task, with bootstrap intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from triad_ml.model.tasks.bootstrap import (
    Floats,
    Integers,
    Statistic,
    calibration,
    mean,
    mean_f1,
    per_class,
    resampled,
    spread,
)


def classification(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    classes: Sequence[str],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Computes the metrics of a task with one class per record.

    Macro-F1 is the mean over the known classes that occur in the labels. A record of a class
    unseen in training counts as wrong in all figures, except that it has no row in `confusion` and
    no part in `log_loss`. Intervals are 95% percentile bootstraps over records. Undefined figures
    are None.

    Args:
        labels: int64 `[n]`; -1 if missing (the record is left out), `len(classes)` or more for a
            class unseen in training.
        probabilities: float32 `[n, classes]`.
        classes: Names of the classes, in the order of the columns.
        seed: Seed of the bootstrap.
        resamples: Number of bootstrap resamples.

    Returns:
        JSON-able: `n`, `unseen` (records of unseen classes), `accuracy` and `macro_f1` (each value,
        low, high), `log_loss`, `majority` (accuracy of always predicting the commonest class of
        these labels), `calibration`, `confusion` (counts; rows are true classes), `per_class`; for
        two classes also `roc_auc` and `average_precision` of the second class.

    Raises:
        ValueError: If shapes disagree or a probability is not finite.
    """
    truth = np.asarray(labels, np.int64)
    likely = _checked(probabilities, truth.shape, len(classes))
    labelled = truth >= 0
    truth, likely = np.minimum(truth[labelled], len(classes)), likely[labelled]
    n, c = len(truth), len(classes)
    predicted = likely.argmax(axis=1) if n else np.zeros(0, np.int64)
    # The last row, one more than the classes, counts the unseen classes.
    confusion = np.bincount(truth * c + predicted, minlength=(c + 1) * c).reshape(c + 1, c)
    known = truth < c
    result = {
        "n": n,
        "unseen": int(n - known.sum()),
        **_intervals(confusion, n, seed, resamples),
        "log_loss": _log_loss(truth[known], likely[known]),
        "majority": float(confusion[:c].sum(axis=1).max() / n) if n else None,
        "calibration": calibration(
            likely.max(axis=1, initial=0.0), (truth == predicted).astype(np.float64)
        ),
        "confusion": confusion[:c].tolist(),
        "per_class": per_class(
            classes, np.diag(confusion[:c]), confusion.sum(axis=0), confusion[:c].sum(axis=1)
        ),
    }
    if c == 2:
        second = (truth[known] == 1).astype(np.float64)
        result |= _ranking(second, likely[known, 1])
    return result


def multi_label(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    classes: Sequence[str],
    threshold: float | Sequence[float] = 0.5,
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Computes the metrics of a task with a set of classes per record.

    Macro-F1 and the mean average precision are means over the known classes that occur in the
    labels. A set with a class unseen in training counts as wrong, and this class as missed in
    micro-F1. Intervals are 95% percentile bootstraps over records. Undefined figures are None.

    Args:
        labels: `[n, classes]` of 0 and 1, or `[n, classes + 1]` with a last column that is 1 if the
            set has any class unseen in training; a row of -1 if the label is missing (the record is
            left out).
        probabilities: float32 `[n, classes]`.
        classes: Names of the classes, in the order of the columns.
        threshold: Lowest probability with which a class is predicted; one, or one for each class.
        seed: Seed of the bootstrap.
        resamples: Number of bootstrap resamples; fewer (at least 50) if records times classes
            exceed four million.

    Returns:
        JSON-able: `n`, `unseen` (records with unseen classes), `threshold`, `accuracy` (the whole
        set is right), `micro_f1`, `macro_f1` and `mean_average_precision` (each value, low, high),
        `majority` (accuracy of always predicting the commonest set), `calibration` (over each class
        of each record), `per_class`.

    Raises:
        ValueError: If shapes disagree or a probability is not finite.
    """
    truth = np.asarray(labels, np.float64)
    likely = _checked(probabilities, truth.shape[:1], len(classes))
    if truth.shape == likely.shape:
        truth = np.pad(truth, [(0, 0), (0, 1)])
    if truth.shape != (len(likely), len(classes) + 1):
        raise ValueError(f"labels have shape {truth.shape}, probabilities {likely.shape}")
    labelled = (truth >= 0).all(axis=1)
    truth, likely = truth[labelled], likely[labelled]
    n, c = truth.shape[0], len(classes)
    truth, unseen = truth[:, :c], truth[:, c]
    commonest = np.unique(truth[unseen < 1], axis=0, return_counts=True)[1]
    predicted = (likely >= threshold).astype(np.float64)
    statistics = _SetStatistics(truth, predicted, likely, unseen)
    names = ("accuracy", "micro_f1", "macro_f1", "mean_average_precision")
    values = statistics(np.ones((1, n)))[0] if n else np.full(len(names), np.nan)
    drawn = resampled(statistics, n, c, len(names), seed, resamples)
    return {
        "n": n,
        "unseen": int(unseen.sum()),
        "threshold": threshold if isinstance(threshold, float) else list(threshold),
        **{name: spread(values[i], drawn[:, i]) for i, name in enumerate(names)},
        "majority": float(commonest.max(initial=0) / n) if n else None,
        "calibration": calibration(likely.ravel(), truth.ravel()),
        "per_class": per_class(
            classes,
            (truth * predicted).sum(axis=0),
            predicted.sum(axis=0),
            truth.sum(axis=0),
        ),
    }


def accuracy(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> Statistic:
    """Returns the accuracy of single classes; see `classification`. Each record has a label."""
    return mean(np.asarray(labels) == np.asarray(probabilities).argmax(axis=1))


def set_accuracy(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, threshold: float | Sequence[float]
) -> Statistic:
    """Returns the accuracy of sets of classes; see `multi_label`. Each record has a label.

    Args:
        labels: `[n, classes + 1]`.
        probabilities: float32 `[n, classes]`.
        threshold: Lowest probability with which a class is predicted; one, or one for each class.
    """
    truth = np.asarray(labels)
    predicted = np.asarray(probabilities) >= threshold
    return mean((truth[:, :-1] == predicted).all(axis=1) & (truth[:, -1] < 1))


def _checked(probabilities: npt.ArrayLike, rows: tuple[int, ...], num_classes: int) -> Floats:
    likely = np.asarray(probabilities, np.float64)
    if likely.shape != (*rows, num_classes):
        raise ValueError(
            f"probabilities have shape {likely.shape}, but labels and classes say "
            f"{(*rows, num_classes)}"
        )
    if not np.isfinite(likely).all():
        raise ValueError("a probability is not finite")
    return likely


def _intervals(confusion: Integers, n: int, seed: int, resamples: int) -> dict[str, Any]:
    """Computes accuracy and macro-F1 with their bootstrap intervals.

    Both depend only on the counts of the confusion matrix. So drawing n records with replacement is
    one multinomial draw over its cells, which costs the same for a thousand and for a million
    records.
    """
    cells = np.flatnonzero(confusion)
    rows, columns = np.divmod(cells, confusion.shape[1])
    counts = confusion.ravel()[cells][None]
    if n:
        drawn = np.random.default_rng(seed).multinomial(n, counts[0] / n, size=resamples)
        counts = np.concatenate([counts, drawn])
    size = len(confusion)

    def totals(ids: Integers, kept: npt.NDArray[np.bool_]) -> Floats:
        ids = ids[kept]
        return np.stack([np.bincount(ids, row, size)[:-1] for row in counts[:, kept]])

    known = rows < size - 1
    right = totals(rows, rows == columns)
    accuracy = right.sum(axis=1) / n if n else np.full(1, np.nan)
    macro_f1 = mean_f1(right, totals(columns, columns >= 0), totals(rows, known))
    return {
        "accuracy": spread(accuracy[0], accuracy[1:]),
        "macro_f1": spread(macro_f1[0], macro_f1[1:]),
    }


class _SetStatistics:
    """Metrics of sets of classes, for records weighted by how often a resample drew them."""

    def __init__(self, truth: Floats, predicted: Floats, likely: Floats, unseen: Floats) -> None:
        self._truth, self._predicted, self._unseen = truth, predicted, unseen
        self._right = truth * predicted
        self._exact = ((truth == predicted).all(axis=1) & (unseen < 1)).astype(np.float64)
        self._order = np.argsort(-likely, axis=0, kind="stable")
        ranked = np.take_along_axis(likely, self._order, axis=0)
        # Equal probabilities cannot be ranked: a threshold is only possible after the last one.
        self._last = np.ones(likely.shape, bool)
        self._last[:-1] = ranked[:-1] != ranked[1:]

    def __call__(self, weights: Floats) -> Floats:
        """Computes accuracy, micro-F1, macro-F1 and mean average precision.

        Args:
            weights: Weights of the records, float64 `[resamples, n]`.

        Returns:
            float64 `[resamples, 4]`.
        """
        right, predicted = weights @ self._right, weights @ self._predicted
        labelled = weights @ self._truth
        total = (predicted + labelled).sum(axis=1) + weights @ self._unseen
        micro = np.where(total > 0, 2 * right.sum(axis=1) / np.maximum(total, 1), np.nan)
        accuracy = weights @ self._exact / weights.sum(axis=1)
        macro = mean_f1(right, predicted, labelled)
        return np.stack([accuracy, micro, macro, self._mean_precision(weights, labelled)], axis=1)

    def _mean_precision(self, weights: Floats, labelled: Floats) -> Floats:
        total = np.zeros(len(weights))
        for c in range(self._truth.shape[1]):
            order, last = self._order[:, c], self._last[:, c]
            ranked = weights[:, order]
            hits = np.cumsum(ranked * self._truth[order, c], axis=1)[:, last]
            seen = np.cumsum(ranked, axis=1)[:, last]
            new_hits = np.diff(hits, axis=1, prepend=0.0)
            summed = (new_hits * hits / np.maximum(seen, 1)).sum(axis=1)
            total += np.where(labelled[:, c] > 0, summed / np.maximum(labelled[:, c], 1), 0.0)
        num = (labelled > 0).sum(axis=1)
        return np.where(num > 0, total / np.maximum(num, 1), np.nan)


def _log_loss(truth: Integers, likely: Floats) -> float | None:
    if not len(truth):
        return None
    of_truth = likely[np.arange(len(truth)), truth]
    return float(-np.log(np.clip(of_truth, np.finfo(np.float32).tiny, 1)).mean())


def _ranking(second: Floats, likely: Floats) -> dict[str, float | None]:
    """Computes ROC AUC and average precision of the second of two classes.

    Both are None unless both classes occur in the labels.
    """
    if not 0 < second.sum() < len(second):
        return {"roc_auc": None, "average_precision": None}
    from sklearn import metrics

    return {
        "roc_auc": float(metrics.roc_auc_score(second, likely)),
        "average_precision": float(metrics.average_precision_score(second, likely)),
    }
