"""Metrics of a generation task by sacrebleu, with bootstrap intervals."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from triad_ml.model.tasks import bootstrap
from triad_ml.model.tasks.bootstrap import Floats, Statistic


class Written(NamedTuple):
    """Generated texts of some records.

    Attributes:
        texts: Texts, UTF-8 bytes `[records]`.
        scores: Probability of exactly this text, float32 `[records]`.
    """

    texts: npt.NDArray[np.object_]
    scores: npt.NDArray[np.float32]

    def of(self, rows: npt.NDArray[np.bool_]) -> "Written":
        """Selects the texts of some records."""
        return Written(self.texts[rows], self.scores[rows])


_RESAMPLES = 200
"""Largest number of resamples for sacrebleu, which scores each one in slow Python."""


def generation(
    labels: npt.ArrayLike,
    predicted: Written,
    classes: Sequence[str] = (),
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Computes the metrics of generated texts against the whole labels.

    Labels are in NFC with single spaces. Intervals are 95% percentile bootstraps over records, for
    BLEU and chrF from at most 200 resamples. Undefined figures are None.

    Args:
        labels: True texts, UTF-8 bytes `[n]`; records with an empty one are left out.
        predicted: Predictions for the same records.
        classes: Ignored, as texts have no classes.
        seed: Seed of the bootstrap.
        resamples: Number of bootstrap resamples.

    Returns:
        JSON-able: `n`; `accuracy` (the text equals the label exactly), `chrf` and `bleu` (by
        sacrebleu with its default settings, over the whole split, as shares of 1), each value, low,
        high; `majority` (accuracy of always writing the commonest label); `calibration` of the
        score; `per_class`, which is empty.
    """
    del classes
    truth = np.asarray(labels, object)
    labelled = np.array([bool(label) for label in truth], bool)
    wanted = [label.decode() for label in truth[labelled]]
    texts, scores = predicted.of(labelled)
    written = [text.decode() for text in texts]
    n = len(wanted)
    right = np.array([a == b for a, b in zip(wanted, written, strict=True)], np.float64)
    accuracy = right.mean() if n else np.nan
    drawn = bootstrap.resampled(lambda w: (w @ right[:, None]) / n, n, 1, 1, seed, resamples)
    commonest = max(Counter(wanted).values(), default=0)
    result = {"n": n, "accuracy": bootstrap.spread(accuracy, drawn[:, 0])}
    for name, (sums, score) in _metrics(written, wanted).items():
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


def chrf(labels: npt.ArrayLike, predicted: Written) -> Statistic:
    """Returns chrF; see `generation`. Each record has a label."""
    wanted = [label.decode() for label in np.asarray(labels, object)]
    sums, score = _metrics([text.decode() for text in predicted.texts], wanted)["chrf"]
    resampled = _resampled(sums, score)
    return lambda weights: resampled(weights)[:, 0]


def _metrics(
    written: Sequence[str], wanted: Sequence[str]
) -> dict[str, tuple[Floats, Callable[[Floats], float]]]:
    """Returns, by metric, counts of each text, `[n, counts]`, and a function from sums to score."""
    from sacrebleu.metrics import BLEU, CHRF

    metrics = {"chrf": CHRF(), "bleu": BLEU(force=True)}
    result: dict[str, tuple[Floats, Callable[[Floats], float]]] = {}
    for name, metric in metrics.items():
        counts = metric._extract_corpus_statistics(written, [wanted]) if written else []

        def score(sums: Floats, metric: Any = metric) -> float:
            return float(
                metric._compute_score_from_stats(sums.round().astype(int).tolist()).score / 100
            )

        result[name] = (np.array(counts, np.float64), score)
    return result


def _resampled(sums: Floats, score: Callable[[Floats], float]) -> Callable[[Floats], Floats]:
    return lambda weights: np.array([[score(total)] for total in weights @ sums])
