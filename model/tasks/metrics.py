"""Registry of metrics, one class per kind of task; works without TensorFlow."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from triad_ml.model.tasks.bootstrap import Statistic
from triad_ml.model.tasks.classification.metrics import (
    accuracy,
    classification,
    multi_label,
    set_accuracy,
)
from triad_ml.model.tasks.generation.metrics import Written, chrf, generation
from triad_ml.model.tasks.regression.metrics import regression, rmse
from triad_ml.model.tasks.tagging.metrics import Tags, entity_f1, tagging

Rows = npt.NDArray[np.bool_]


class TaskMetrics(Protocol):
    """Metrics of one kind of task.

    Attributes:
        figures: Main figures: name in tables by key.
        lower_is_better: True if a lower value of the first figure is better.
        names_classes: True if the evaluation document lists the task's classes.
    """

    figures: Mapping[str, str]
    lower_is_better: bool
    names_classes: bool

    def chosen(self, said: Any, rows: Rows) -> Any:
        """Selects the predictions of some records."""

    def measure(
        self,
        task: Any,
        labels: npt.ArrayLike,
        said: Any,
        classes: Sequence[str],
        *,
        seed: int,
        resamples: int,
    ) -> dict[str, Any]:
        """Compares predictions with labels; returns JSON-able figures."""

    def first_figure(
        self, task: Any, labels: npt.ArrayLike, said: Any, classes: Sequence[str]
    ) -> Statistic:
        """Returns the first figure as a function of the records' weights; each has a label."""


class Classes:
    """Metrics of single classes and of sets of classes.

    Args:
        threshold: Lowest probability of each class in a set; one, or one for each class.
    """

    figures: Mapping[str, str] = {"accuracy": "accuracy", "macro_f1": "macro-F1"}
    lower_is_better = False
    names_classes = True

    def __init__(self, threshold: float | Sequence[float] = 0.5) -> None:
        self._threshold = threshold

    def chosen(self, said: npt.ArrayLike, rows: Rows) -> npt.NDArray[Any]:
        return np.asarray(said)[rows]

    def measure(
        self,
        task: Any,
        labels: npt.ArrayLike,
        said: npt.ArrayLike,
        classes: Sequence[str],
        *,
        seed: int,
        resamples: int,
    ) -> dict[str, Any]:
        if task.multi_label:
            return multi_label(
                labels, said, classes, self._threshold, seed=seed, resamples=resamples
            )
        return classification(labels, said, classes, seed=seed, resamples=resamples)

    def first_figure(
        self, task: Any, labels: npt.ArrayLike, said: npt.ArrayLike, classes: Sequence[str]
    ) -> Statistic:
        if task.multi_label:
            return set_accuracy(labels, said, self._threshold)
        return accuracy(labels, said)


class Spans:
    """Metrics of spans of the text."""

    figures: Mapping[str, str] = {"entity_f1": "entity F1"}
    lower_is_better = False
    names_classes = True

    def chosen(self, said: Tags, rows: Rows) -> Tags:
        return said.of(rows)

    def measure(
        self,
        task: Any,
        labels: npt.ArrayLike,
        said: Tags,
        classes: Sequence[str],
        *,
        seed: int,
        resamples: int,
    ) -> dict[str, Any]:
        return tagging(labels, said, classes, seed=seed, resamples=resamples)

    def first_figure(
        self, task: Any, labels: npt.ArrayLike, said: Tags, classes: Sequence[str]
    ) -> Statistic:
        return entity_f1(labels, said, classes)


class Texts:
    """Metrics of generated texts."""

    figures: Mapping[str, str] = {"chrf": "chrF", "bleu": "BLEU"}
    lower_is_better = False
    names_classes = False

    def chosen(self, said: Written, rows: Rows) -> Written:
        return said.of(rows)

    def measure(
        self,
        task: Any,
        labels: npt.ArrayLike,
        said: Written,
        classes: Sequence[str],
        *,
        seed: int,
        resamples: int,
    ) -> dict[str, Any]:
        return generation(labels, said, seed=seed, resamples=resamples)

    def first_figure(
        self, task: Any, labels: npt.ArrayLike, said: Written, classes: Sequence[str]
    ) -> Statistic:
        return chrf(labels, said)


class Numbers:
    """Metrics of predicted numbers."""

    figures: Mapping[str, str] = {"rmse": "RMSE", "mae": "MAE", "spearman": "Spearman"}
    lower_is_better = True
    names_classes = False

    def chosen(self, said: npt.NDArray[np.float32], rows: Rows) -> npt.NDArray[np.float32]:
        return said[rows]

    def measure(
        self,
        task: Any,
        labels: npt.ArrayLike,
        said: npt.NDArray[np.float32],
        classes: Sequence[str],
        *,
        seed: int,
        resamples: int,
    ) -> dict[str, Any]:
        return regression(labels, said, seed=seed, resamples=resamples)

    def first_figure(
        self,
        task: Any,
        labels: npt.ArrayLike,
        said: npt.NDArray[np.float32],
        classes: Sequence[str],
    ) -> Statistic:
        return rmse(labels, said)


METRICS: Mapping[str, TaskMetrics] = {
    "tagging": Spans(),
    "classification": Classes(),
    "generation": Texts(),
    "regression": Numbers(),
}
"""Metrics by kind of task, in the order of table columns."""


def metrics_of(kind: str, thresholds: Sequence[float] | None = None) -> TaskMetrics:
    """Returns the metrics of a kind of task.

    Args:
        kind: Kind of the task.
        thresholds: Lowest probability of each class in a predicted set; None for 0.5.
    """
    return METRICS[kind] if thresholds is None else Classes(thresholds)
