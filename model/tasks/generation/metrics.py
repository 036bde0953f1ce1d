"""Metrics of a generation task, by sacrebleu, with bootstrap intervals."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from triad_ml.model.tasks import bootstrap
from triad_ml.model.tasks.bootstrap import Floats


class Written(NamedTuple):
    """What a model writes of some records.

    Attributes:
        texts: string `[records]`.
        scores: The probability of exactly that text, float32 `[records]`.
    """

    texts: npt.NDArray[np.object_]
    scores: npt.NDArray[np.float32]

    def of(self, rows: npt.NDArray[np.bool_]) -> "Written":
        """Those of chosen records."""
        return Written(self.texts[rows], self.scores[rows])


_RESAMPLES = 200
"""Each resample is summed up by sacrebleu, in Python."""


def generation(
    labels: npt.ArrayLike,
    predicted: Written,
    classes: Sequence[str] = (),
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Metrics of texts against the whole labels, which are NFC, with single spaces.

    Intervals are 95% percentile bootstraps over records, of BLEU and chrF from at most 200
    resamples. What is undefined is None.

    Args:
        labels: UTF-8, bytes `[n]`; records with an empty one are left out.
        predicted: Of the same records.
        classes: Not looked at: texts have none.
        seed: Of the bootstrap.
        resamples: Number of bootstrap resamples.

    Returns:
        JSON-able: `n`; `accuracy` (the text is the label, to the last character), `chrf` and
        `bleu`, sacrebleu's of the whole split with its default settings, as shares of 1 (each
        value, low, high); `majority` (accuracy of always writing the commonest label);
        `calibration` of the score; `per_class`, which is empty.
    """
    del classes
    truth = np.asarray(labels, object)
    there = np.array([bool(one) for one in truth], bool)
    wanted = [one.decode() for one in truth[there]]
    texts, scores = predicted.of(there)
    said = [text.decode() for text in texts]
    n = len(wanted)
    right = np.array([a == b for a, b in zip(wanted, said, strict=True)], np.float64)
    accuracy = right.mean() if n else np.nan
    drawn = bootstrap.resampled(lambda w: (w @ right[:, None]) / n, n, 1, 1, seed, resamples)
    commonest = max(Counter(wanted).values(), default=0)
    result = {"n": n, "accuracy": bootstrap.spread(accuracy, drawn[:, 0])}
    for name, (sums, score) in _metrics(said, wanted).items():
        value = score(sums.sum(axis=0)) if n else np.nan
        drawn = bootstrap.resampled(
            _resampled(sums, score), n, 1, 1, seed, min(resamples, _RESAMPLES)
        )
        result[name] = bootstrap.spread(value, drawn[:, 0])
    return {
        **result,
        "majority": commonest / n if n else None,
        "calibration": bootstrap.calibration(scores.astype(np.float64), right),
        "per_class": [],
    }


def _metrics(
    said: Sequence[str], wanted: Sequence[str]
) -> dict[str, tuple[Floats, Callable[[Floats], float]]]:
    """By metric: counts of each text, `[n, counts]`, and the figure that their sums give."""
    from sacrebleu.metrics import BLEU, CHRF

    metrics = {"chrf": CHRF(), "bleu": BLEU(force=True)}
    found: dict[str, tuple[Floats, Callable[[Floats], float]]] = {}
    for name, metric in metrics.items():
        counts = metric._extract_corpus_statistics(said, [wanted]) if said else []

        def score(sums: Floats, metric: Any = metric) -> float:
            return float(
                metric._compute_score_from_stats(sums.round().astype(int).tolist()).score / 100
            )

        found[name] = (np.array(counts, np.float64), score)
    return found


def _resampled(sums: Floats, score: Callable[[Floats], float]) -> Callable[[Floats], Floats]:
    return lambda weights: np.array([[score(one)] for one in weights @ sums])
