"""Report of one task: a class for each kind of task, and their registry."""

import abc
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from markupsafe import Markup

from triad_ml.model.evaluation.document import AS_RECORDED, recipe_text
from triad_ml.pipelines.report import charts, confusion
from triad_ml.transforms.labels import classes
from triad_ml.transforms.spec.tasks import Task


class Figure(NamedTuple):
    """Formatted value of one measure.

    Attributes:
        text: Value.
        low: Lower end of its interval; "" if there is no interval.
        high: Upper end of its interval; "" if there is no interval.
        bar: Chart of value and interval.
    """

    text: str
    low: str
    high: str
    bar: Markup


class Calibration(NamedTuple):
    """Calibration of a task: share of right answers against confidence.

    Attributes:
        chart: Reliability diagram; empty if there are no predictions.
        caption: Sentence below the title.
        column: Name of the column with the share of right answers.
        bins: Bins of the evaluation document.
    """

    chart: Markup
    caption: str
    column: str
    bins: Sequence[Mapping[str, Any]]


class Plot(NamedTuple):
    """A further chart of a task's errors."""

    title: str
    caption: str
    chart: Markup


class TaskReport(abc.ABC):
    """Interface by which the report treats every kind of task alike.

    Methods that have a body here suit kinds whose answers are either right or wrong.

    Attributes:
        shows_records: True if cards of records compare a prediction with its label.
        shows_spans: True if cards of texts compare predicted spans with those of the label.
        shows_chances: True if cards of records list class probabilities, so that a saliency can be
            shown.
    """

    shows_records: ClassVar[bool] = False
    shows_spans: ClassVar[bool] = False
    shows_chances: ClassVar[bool] = False

    @abc.abstractmethod
    def measures(self, evaluated: Mapping[str, Any]) -> Mapping[str, str]:
        """Returns the shown name of each measure by its key in the evaluation document.

        The first measure is shown as a key figure too.
        """

    def figure(self, key: str, measured: Mapping[str, Any], first: bool) -> Figure:
        """Formats a measure with its interval.

        Args:
            key: A key of `measures`.
            measured: Metrics of some records.
            first: True for the first measure, whose chart has a tick at the share of the commonest
                answer.
        """
        value, low, high = (measured[key][part] for part in ("value", "low", "high"))
        bar = charts.interval(value, low, high, measured["majority"] if first else None)
        ends = ("", "") if low is None else (percent(low), percent(high))
        return Figure(percent(value), *ends, bar)

    def finding(self, subsets: Mapping[str, Mapping[str, Any]], modalities: Sequence[str]) -> str:
        """Returns a sentence that compares all modalities with the best single one, or ""."""
        whole, singles = _compared(subsets, modalities, "accuracy")
        if not singles:
            return ""
        best = max(singles, key=lambda name: singles[name])
        together = whole["accuracy"]["value"]
        points = 100 * (together - singles[best])
        gain = f"{abs(points):.1f} points {'more' if points > 0 else 'less'} than"
        return (
            f"On the {whole['n']:,} complete records all modalities together reach "
            f"{percent(together)}, {'as much as' if abs(points) < 0.05 else gain} the best single "
            f"one, {best} ({percent(singles[best])})."
        )

    def facts(self, recorded: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Returns names and values of further figures on the records as recorded."""
        return [
            ("records with a label", count(recorded["n"])),
            ("commonest answer", percent(recorded["majority"])),
        ]

    def aligned(self, counts: Mapping[str, int]) -> list[tuple[str, str]]:
        """Returns preprocessing's counts of the labels, over all splits, as further facts."""
        return []

    def calibration(self, name: str, evaluated: Mapping[str, Any]) -> Calibration | None:
        """Returns the calibration; None for a kind whose scores are no probabilities."""
        calibration = evaluated[AS_RECORDED]["calibration"]
        multi_label = bool(evaluated["multi_label"])
        subject = "Each class of each record: share that applies" if multi_label else "Accuracy"
        ece = calibration["ece"]
        gap = "" if ece is None else f"; mean gap (ECE) {percent(ece)}"
        before = evaluated.get("temperature", {}).get("ece_before")
        if before is not None:
            value = evaluated["temperature"]["value"]
            gap += f", {percent(before)} before the temperature of {value:.3g}"
        return Calibration(
            charts.reliability(f"{name}: accuracy against confidence", calibration["bins"]),
            f"{subject} against confidence{gap}.",
            "applies" if multi_label else "accuracy",
            calibration["bins"],
        )

    def plots(self, name: str, evaluated: Mapping[str, Any]) -> tuple[Plot, ...]:
        """Returns further charts of the errors, in addition to the confusion matrix."""
        return ()

    def scores(self, column: pa.StructArray) -> npt.NDArray[np.float64]:
        """Returns the published scores, float64 `[rows]`; `[0]` if they are no probabilities."""
        scores = column.field("score").to_numpy(zero_copy_only=False)
        return np.asarray(scores, np.float64)

    def answers(self, column: pa.StructArray) -> Iterable[str]:
        """Returns the published answers to count; none for a kind whose answers rarely repeat."""
        return ()

    def truth(self, label: Any, task: Task) -> tuple[str, ...] | None:
        """Returns the parts of a label that a card of a record shows; None if there is no label.

        Raises:
            LabelError: The label cannot be used.
        """
        return None

    def predicted(self, value: Mapping[str, Any]) -> tuple[str, ...]:
        """Returns the parts of a published value that are compared with those of the label."""
        return ()

    def chances(self, value: Mapping[str, Any]) -> dict[str, float]:
        """Returns the probability of each class in a published value; empty if it has none."""
        return {}


class ClassificationReport(TaskReport):
    """Report of a classification: accuracy, macro-F1, confusions.

    A multi-label task counts whole sets of classes, and each class alone.
    """

    shows_records = True
    shows_chances = True

    def measures(self, evaluated: Mapping[str, Any]) -> Mapping[str, str]:
        if evaluated["multi_label"]:
            return {
                "accuracy": "whole set right",
                "macro_f1": "macro-F1",
                "mean_average_precision": "mean average precision",
            }
        return {"accuracy": "accuracy", "macro_f1": "macro-F1"}

    def facts(self, recorded: Mapping[str, Any]) -> list[tuple[str, str]]:
        facts = super().facts(recorded) + _unseen(recorded)
        if "micro_f1" in recorded:
            facts.append(("micro-F1", percent(recorded["micro_f1"]["value"])))
        for key, name in (
            ("log_loss", "log loss"),
            ("roc_auc", "ROC AUC"),
            ("average_precision", "average precision"),
        ):
            if recorded.get(key) is not None:
                facts.append((name, f"{recorded[key]:.3f}"))
        return facts

    def answers(self, column: pa.StructArray) -> Iterable[str]:
        labels = column.field("label")
        if pa.types.is_string(labels.type):
            yield from labels.to_pylist()
        else:
            yield from (", ".join(sorted(names)) or "none" for names in labels.to_pylist())

    def truth(self, label: Any, task: Task) -> tuple[str, ...] | None:
        return classes.class_names(label, task)

    def predicted(self, value: Mapping[str, Any]) -> tuple[str, ...]:
        label = value["label"]
        return (label,) if isinstance(label, str) else tuple(sorted(label))

    def chances(self, value: Mapping[str, Any]) -> dict[str, float]:
        pairs = value["distribution"]  # pairs from a map column, an object from JSON
        return dict(pairs.items() if isinstance(pairs, Mapping) else pairs)


class TaggingReport(TaskReport):
    """Report of a tagging task: right spans, by record and by span."""

    shows_spans = True

    def measures(self, evaluated: Mapping[str, Any]) -> Mapping[str, str]:
        return {
            "accuracy": "all spans right",
            "entity_f1": "entity F1",
            "precision": "precision",
            "recall": "recall",
            "macro_f1": "macro-F1",
        }

    def facts(self, recorded: Mapping[str, Any]) -> list[tuple[str, str]]:
        spans = ("labelled spans", count(recorded["spans"]))
        return [*super().facts(recorded), spans, *_unseen(recorded)]

    def aligned(self, counts: Mapping[str, int]) -> list[tuple[str, str]]:
        of_all = f" of {count(counts['spans'])}"
        return [
            ("spans that do not fit words, all splits", f"{count(counts['misaligned'])}{of_all}"),
            ("spans cut by the text's length, all splits", f"{count(counts['cut'])}{of_all}"),
        ]


class GenerationReport(TaskReport):
    """Report of a generation task: exact matches, and similarity to the label."""

    shows_records = True

    def measures(self, evaluated: Mapping[str, Any]) -> Mapping[str, str]:
        return {"accuracy": "exact match", "chrf": "chrF", "bleu": "BLEU"}

    def aligned(self, counts: Mapping[str, int]) -> list[tuple[str, str]]:
        of_all = f"{count(counts['cut'])} of {count(counts['texts'])}"
        return [("texts cut by the task's length, all splits", of_all)]

    def truth(self, label: Any, task: Task) -> tuple[str, ...] | None:
        text = classes.target_text(label)
        return None if text is None else (text,)

    def predicted(self, value: Mapping[str, Any]) -> tuple[str, ...]:
        return (value["text"],)


class RegressionReport(TaskReport):
    """Report of a regression: errors in the label's unit, rank correlation, plots of the errors."""

    def measures(self, evaluated: Mapping[str, Any]) -> Mapping[str, str]:
        return {"rmse": "RMSE", "mae": "MAE", "spearman": "Spearman"}

    def figure(self, key: str, measured: Mapping[str, Any], first: bool) -> Figure:
        shown = [_number(measured[key][part]) for part in ("value", "low", "high")]
        text, *ends = shown
        low, high = ("", "") if measured[key]["low"] is None else ends
        return Figure(text, low, high, Markup(""))

    def finding(self, subsets: Mapping[str, Mapping[str, Any]], modalities: Sequence[str]) -> str:
        whole, singles = _compared(subsets, modalities, "rmse")
        if not singles:
            return ""
        best = min(singles, key=lambda name: singles[name])
        return (
            f"On the {whole['n']:,} complete records all modalities together have an RMSE of "
            f"{_number(whole['rmse']['value'])}, and the best single one, {best}, has "
            f"{_number(singles[best])}."
        )

    def facts(self, recorded: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [
            ("records with a label", count(recorded["n"])),
            ("RMSE of always saying the mean", _number(recorded["deviation"])),
        ]

    def calibration(self, name: str, evaluated: Mapping[str, Any]) -> Calibration | None:
        return None

    def plots(self, name: str, evaluated: Mapping[str, Any]) -> tuple[Plot, ...]:
        recorded = evaluated[AS_RECORDED]
        pairs = recorded["pairs"]
        if not pairs:
            return ()
        of = f"{len(pairs):,} of {recorded['n']:,} records, evenly spaced by their labels."
        residuals = [(prediction, prediction - label) for label, prediction in pairs]
        return (
            Plot(
                "Predictions against labels",
                f"On the dashed line a prediction is its label; {of}",
                charts.scatter(f"{name}: predictions", pairs, "label", "prediction", False),
            ),
            Plot(
                "Residuals",
                "Prediction less label, against the prediction; on the dashed line it is 0.",
                charts.scatter(f"{name}: residuals", residuals, "prediction", "residual", True),
            ),
        )

    def scores(self, column: pa.StructArray) -> npt.NDArray[np.float64]:
        return np.zeros(0, np.float64)


KINDS: Mapping[str, TaskReport] = {
    "classification": ClassificationReport(),
    "tagging": TaggingReport(),
    "generation": GenerationReport(),
    "regression": RegressionReport(),
}
"""Reports by kind of task."""


def view(
    name: str,
    evaluated: Mapping[str, Any],
    modalities: Sequence[str],
    aligned: Mapping[str, int] | None = None,
    recipe: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Arranges one task's part of the evaluation document for tables and charts.

    Args:
        name: Name of the task.
        evaluated: Result of `document.evaluate_task`.
        modalities: Names of the model's modalities.
        aligned: Preprocessing's counts of the task's labels; None if there are none.
        recipe: The document's recipe of the task; None if it has none.
    """
    kind = KINDS[evaluated["kind"]]
    recorded = evaluated[AS_RECORDED]
    measures = kind.measures(evaluated)
    named = {"as recorded": recorded}
    for key, measured in evaluated.get("linear", {}).items():
        named[f"linear model, {key.replace('+', ' + ')}"] = measured
    rows: list[tuple[str, tuple[str, ...], Mapping[str, Any]]] = [
        *((title, (), measured) for title, measured in named.items()),
        *(("", tuple(key.split("+")), one) for key, one in evaluated["subsets"].items()),
    ]
    return {
        "name": name,
        "measures": list(measures.values()),
        "rows": [
            {
                "title": title,
                "seen": seen,
                "n": measured["n"],
                "figures": [
                    kind.figure(key, measured, not index) for index, key in enumerate(measures)
                ],
            }
            for title, seen, measured in rows
        ],
        "finding": kind.finding(evaluated["subsets"], modalities),
        "facts": [
            *kind.facts(recorded),
            *([] if aligned is None else kind.aligned(aligned)),
            *([] if recipe is None else [("recipe", recipe_text(recipe))]),
        ],
        "confusion": confusion.view(evaluated),
        "per_class": _in_order(recorded.get("per_class", ())),
        "plots": kind.plots(name, evaluated),
        "calibration": kind.calibration(name, evaluated),
    }


def _compared(
    subsets: Mapping[str, Mapping[str, Any]], modalities: Sequence[str], key: str
) -> tuple[Mapping[str, Any], dict[str, float]]:
    """Returns the metrics with all modalities, and a figure of each single one.

    The latter is empty if there is only one modality, or one was not measured.
    """
    whole = subsets.get("+".join(modalities), {})
    singles = {name: subsets[name][key]["value"] for name in modalities if name in subsets}
    complete = len(modalities) > 1 and whole.get("n") and len(singles) == len(modalities)
    return whole, singles if complete else {}


def percent(share: float | None) -> str:
    """Formats a share: `0.9123` -> `91.2%`; a dash for None."""
    return "–" if share is None else f"{share:.1%}"


def _number(value: float | None) -> str:
    """Formats a number: `1234.5678` -> `1,235`, `0.123456` -> `0.1235`; a dash for None."""
    return "–" if value is None else f"{value:,.4g}"


def count(number: int) -> str:
    """Formats a count: `12345` -> `12,345`."""
    return f"{number:,}"


def _unseen(recorded: Mapping[str, Any]) -> list[tuple[str, str]]:
    unseen = recorded.get("unseen")
    return [("of unseen classes", count(unseen))] if unseen else []


def _in_order(per_class: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    order = confusion.natural_order([str(row["class"]) for row in per_class])
    return [per_class[index] for index in order]
