"""Metrics of a tagging task by seqeval, with bootstrap intervals."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from triad_ml.model.tasks import bootstrap
from triad_ml.model.tasks.bootstrap import Floats, Integers, Statistic
from triad_ml.model.tasks.tagging.bio import OUTSIDE

_UNSEEN = "\0"  # not the name of any class
_Spans = set[tuple[str, int, int]]
_NAMES = ("entity_f1", "accuracy", "macro_f1", "precision", "recall")


class Tags(NamedTuple):
    """Predicted tags of the words of some records.

    Attributes:
        tags: Tags, int64 `[records, length]`; see `bio`.
        scores: Probability of the span that begins at each word, float32 `[records, length]`.
    """

    tags: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]

    def of(self, rows: npt.NDArray[np.bool_]) -> "Tags":
        """Selects the tags of some records."""
        return Tags(self.tags[rows], self.scores[rows])


def tagging(
    labels: npt.ArrayLike,
    predicted: Tags,
    classes: Sequence[str],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Computes the metrics of spans; a span is right if its first word, last word and class are.

    Words beyond the longest text that the model reads are ignored. A span of a class unseen in
    training counts as missed. Intervals are 95% percentile bootstraps over records. Undefined
    figures are None.

    Args:
        labels: int64 `[n, length]`; see `targets.spans.tags_graph`. Rows without a label are left
            out.
        predicted: Predictions for the same records.
        classes: Names of the classes, in the order of their ids.
        seed: Seed of the bootstrap.
        resamples: Number of bootstrap resamples.

    Returns:
        JSON-able: `n`, `spans` (labelled ones), `unseen` (labelled ones of unseen classes),
        `entity_f1` (seqeval's micro-average), `accuracy` (all spans of a record are right),
        `macro_f1` (over the classes that occur in the labels), `precision` and `recall` (each
        value, low, high), `majority` (accuracy of never predicting a span), `calibration` of the
        predicted spans, `per_class`.
    """
    truth = np.asarray(labels, np.int64)
    labelled = np.asarray((truth >= 0).any(axis=1))
    truth, (tags, scores) = truth[labelled], predicted.of(labelled)
    n, c = len(truth), len(classes)
    names = [*classes, _UNSEEN]
    true_tags, predicted_tags = ([_names(row, names) for row in rows] for rows in (truth, tags))
    spans = [
        (_entities(row_truth), _entities(row_tags))
        for row_truth, row_tags in zip(true_tags, predicted_tags, strict=True)
    ]
    counts = _counts(spans, names)
    right_spans = [
        (scores[row, first], (name, first, last) in wanted)
        for row, (wanted, guessed) in enumerate(spans)
        for name, first, last in sorted(guessed)
    ]
    statistics = functools.partial(_statistics, counts)
    values = statistics(np.ones((1, n)))[0] if n else np.full(len(_NAMES), np.nan)
    values[0] = _seqeval_f1(true_tags, predicted_tags, values[0])
    drawn = bootstrap.resampled(statistics, n, c, len(_NAMES), seed, resamples)
    hits, guesses, wanted_counts = counts.sum(axis=1)
    confidence, right = np.array(right_spans, np.float64).reshape(-1, 2).T
    return {
        "n": n,
        "spans": int(wanted_counts.sum()),
        "unseen": int(wanted_counts[c]),
        **{name: bootstrap.spread(values[i], drawn[:, i]) for i, name in enumerate(_NAMES)},
        "majority": float((counts[2].sum(axis=1) == 0).mean()) if n else None,
        "calibration": bootstrap.calibration(confidence, right),
        "per_class": bootstrap.per_class(classes, hits[:c], guesses[:c], wanted_counts[:c]),
    }


def entity_f1(labels: npt.ArrayLike, predicted: Tags, classes: Sequence[str]) -> Statistic:
    """Returns entity F1; see `tagging`. Each record has a label."""
    names = [*classes, _UNSEEN]
    spans = [
        (_entities(_names(row_truth, names)), _entities(_names(row_tags, names)))
        for row_truth, row_tags in zip(np.asarray(labels, np.int64), predicted.tags, strict=True)
    ]
    counts = _counts(spans, names)
    return lambda weights: _statistics(counts, weights)[:, 0]


def _counts(spans: Sequence[tuple[_Spans, _Spans]], names: Sequence[str]) -> Floats:
    """Counts right, predicted and labelled spans, float64 `[3, n, names]`.

    Args:
        spans: Labelled and predicted spans of each record.
        names: Names of the classes.
    """
    ids = {name: index for index, name in enumerate(names)}
    counts = np.zeros((3, len(spans), len(names)))
    for row, (wanted, guessed) in enumerate(spans):
        for kind, found in enumerate((wanted & guessed, guessed, wanted)):
            for name, _, _ in found:
                counts[kind, row, ids[name]] += 1
    return counts


def _statistics(counts: Floats, weights: Floats) -> Floats:
    """Computes the metrics, float64 `[resamples, 5]`, in the order of `_NAMES`.

    Args:
        counts: Right, predicted and labelled spans, float64 `[3, n, classes + 1]`.
        weights: Weights of the records, float64 `[resamples, n]`.
    """
    hits, guesses, wanted = (weights @ count for count in counts)
    all_hits, all_guesses, all_wanted = (count.sum(axis=1) for count in (hits, guesses, wanted))
    exact = (counts[0] == counts[1]).all(axis=1) & (counts[0] == counts[2]).all(axis=1)
    shares = [
        _share(2 * all_hits, all_guesses + all_wanted),
        weights @ exact / weights.sum(axis=1),
        bootstrap.mean_f1(hits, guesses, wanted),
        _share(all_hits, all_guesses),
        _share(all_hits, all_wanted),
    ]
    return np.stack(shares, axis=1)


def _share(part: Floats, whole: Floats) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _names(tags: Integers, classes: Sequence[str]) -> list[str]:
    """Returns the BIO tags of a row as strings; missing labels become `O`."""
    last = len(classes) - 1
    return [
        "O" if tag <= OUTSIDE else f"{'BI'[(tag + 1) % 2]}-{classes[min((tag - 1) // 2, last)]}"
        for tag in tags.tolist()
    ]


def _entities(tags: Sequence[str]) -> _Spans:
    from seqeval.metrics.sequence_labeling import get_entities

    return set(get_entities(list(tags)))


def _seqeval_f1(truth: list[list[str]], tags: list[list[str]], own: float) -> float:
    """Computes F1 by seqeval, unless our own value `own` is NaN: seqeval would warn then."""
    from seqeval.metrics import f1_score

    return own if np.isnan(own) else float(f1_score(truth, tags))
