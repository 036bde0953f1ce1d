"""What the report says of one task: a class for each kind of task, and the registry of them."""

import abc
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from markupsafe import Markup

from triad_ml.model.evaluation.document import AS_RECORDED
from triad_ml.pipelines.report import charts, confusion
from triad_ml.transforms.labels import classes
from triad_ml.transforms.spec.spec import Task


class Figure(NamedTuple):
    """One measure as it is shown.

    Attributes:
        text: The value.
        low: Lower end of its interval; "" where there is no interval.
        high: Upper end.
        bar: Value and interval as a chart.
    """

    text: str
    low: str
    high: str
    bar: Markup


class Calibration(NamedTuple):
    """How often answers are right, against how sure the model is of them.

    Attributes:
        chart: The reliability diagram; empty where there are no predictions.
        caption: Sentence below the title.
        column: Name of the column of shares that are right.
        bins: As the evaluation document has them.
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
    """What the report asks of a kind of task.

    The methods that have a body are those of kinds whose answers are right or wrong.

    Attributes:
        shows_records: Cards of records compare an answer with its label.
        shows_spans: Cards of texts compare spans with those of the label.
        shows_chances: Cards of records list probabilities of classes, whose grounds can be shown.
    """

    shows_records: ClassVar[bool] = False
    shows_spans: ClassVar[bool] = False
    shows_chances: ClassVar[bool] = False

    @abc.abstractmethod
    def measures(self, evaluated: Mapping[str, Any]) -> Mapping[str, str]:
        """Keys of the measures in the evaluation document -> names, the one of the tile first."""

    def figure(self, key: str, measured: Mapping[str, Any], first: bool) -> Figure:
        """A measure with its interval.

        Args:
            key: One of `measures`.
            measured: Metrics of some records.
            first: It is the first measure, whose chart has a tick at the commonest answer.
        """
        value, low, high = (measured[key][part] for part in ("value", "low", "high"))
        bar = charts.interval(value, low, high, measured["majority"] if first else None)
        ends = ("", "") if low is None else (percent(low), percent(high))
        return Figure(percent(value), *ends, bar)

    def finding(self, subsets: Mapping[str, Mapping[str, Any]], modalities: Sequence[str]) -> str:
        """How much the modalities together add to the best single one; "" where that is unknown."""
        whole = subsets.get("+".join(modalities))
        singles = {one: subsets[one]["accuracy"]["value"] for one in modalities if one in subsets}
        if len(modalities) < 2 or not whole or not whole["n"] or len(singles) < len(modalities):
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
        """Names and values of further figures of the records as recorded."""
        return [
            ("records with a label", count(recorded["n"])),
            ("commonest answer", percent(recorded["majority"])),
        ]

    def aligned(self, counts: Mapping[str, int]) -> list[tuple[str, str]]:
        """What preprocessing counted of the labels, all splits, as further facts."""
        return []

    def calibration(self, name: str, evaluated: Mapping[str, Any]) -> Calibration | None:
        """How far the scores can be trusted; None of a kind whose scores are no probabilities."""
        found = evaluated[AS_RECORDED]["calibration"]
        each = bool(evaluated["multi_label"])
        subject = "Each class of each record: share that applies" if each else "Accuracy"
        gap = "" if found["ece"] is None else f"; mean gap (ECE) {percent(found['ece'])}"
        return Calibration(
            charts.reliability(f"{name}: accuracy against confidence", found["bins"]),
            f"{subject} against confidence{gap}.",
            "applies" if each else "accuracy",
            found["bins"],
        )

    def plots(self, name: str, evaluated: Mapping[str, Any]) -> tuple[Plot, ...]:
        """Further charts of the errors, beside the confusion matrix."""
        return ()

    def scores(self, column: pa.StructArray) -> npt.NDArray[np.float64]:
        """Published scores, float64 `[rows]`; `[0]` of a kind whose scores are no probabilities."""
        scores = column.field("score").to_numpy(zero_copy_only=False)
        return np.asarray(scores, np.float64)

    def answers(self, column: pa.StructArray) -> Iterable[str]:
        """Published answers that are counted; none where hardly any two are alike."""
        return ()

    def truth(self, label: Any, task: Task) -> tuple[str, ...] | None:
        """The parts of a label that a card of a record shows; None where there is no label.

        Raises:
            LabelError: It cannot be used.
        """
        return None

    def predicted(self, value: Mapping[str, Any]) -> tuple[str, ...]:
        """The parts of a published value that are compared with those of the label."""
        return ()

    def chances(self, value: Mapping[str, Any]) -> dict[str, float]:
        """The probability of each class in a published value; empty where there are none."""
        return {}


class ClassificationReport(TaskReport):
    """Accuracy, macro-F1, confusions; of sets of classes whole sets, and each class alone."""

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
        pairs = value["distribution"]  # a map column gives pairs, a JSON column an object
        return dict(pairs.items() if isinstance(pairs, Mapping) else pairs)


class TaggingReport(TaskReport):
    """Spans that are right, by record and by span."""

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
    """Texts that are the label, and how near to it they are."""

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
    """Errors of numbers in their units, the correlation of ranks, and plots of the errors."""

    def measures(self, evaluated: Mapping[str, Any]) -> Mapping[str, str]:
        return {"rmse": "RMSE", "mae": "MAE", "spearman": "Spearman"}

    def figure(self, key: str, measured: Mapping[str, Any], first: bool) -> Figure:
        shown = [_number(measured[key][part]) for part in ("value", "low", "high")]
        text, *ends = shown
        low, high = ("", "") if measured[key]["low"] is None else ends
        return Figure(text, low, high, Markup(""))

    def finding(self, subsets: Mapping[str, Mapping[str, Any]], modalities: Sequence[str]) -> str:
        whole = subsets.get("+".join(modalities))
        singles = {one: subsets[one]["rmse"]["value"] for one in modalities if one in subsets}
        if len(modalities) < 2 or not whole or not whole["n"] or len(singles) < len(modalities):
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
        residuals = [(said, said - truth) for truth, said in pairs]
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
"""By kind of task, what the report says of it."""


def view(
    name: str,
    evaluated: Mapping[str, Any],
    modalities: Sequence[str],
    aligned: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """One task's part of the evaluation document, arranged for tables and charts.

    Args:
        name: Of the task.
        evaluated: See `document.evaluate_task`.
        modalities: Names of the model's modalities.
        aligned: What preprocessing counted of its labels; None where it counted nothing.
    """
    kind = KINDS[evaluated["kind"]]
    recorded = evaluated[AS_RECORDED]
    measures = kind.measures(evaluated)
    rows: list[tuple[tuple[str, ...] | None, Mapping[str, Any]]] = [(None, recorded)]
    rows += [(tuple(key.split("+")), one) for key, one in evaluated["subsets"].items()]
    return {
        "name": name,
        "measures": list(measures.values()),
        "rows": [
            {
                "seen": seen,
                "n": one["n"],
                "figures": [kind.figure(key, one, not at) for at, key in enumerate(measures)],
            }
            for seen, one in rows
        ],
        "finding": kind.finding(evaluated["subsets"], modalities),
        "facts": kind.facts(recorded) + ([] if aligned is None else kind.aligned(aligned)),
        "confusion": confusion.view(evaluated),
        "per_class": _in_order(recorded.get("per_class", ())),
        "plots": kind.plots(name, evaluated),
        "calibration": kind.calibration(name, evaluated),
    }


def percent(share: float | None) -> str:
    """`0.9123` -> `91.2%`; a dash where there is none."""
    return "–" if share is None else f"{share:.1%}"


def _number(value: float | None) -> str:
    """`1234.5678` -> `1,235`, `0.123456` -> `0.1235`; a dash where there is none."""
    return "–" if value is None else f"{value:,.4g}"


def count(number: int) -> str:
    """`12345` -> `12,345`."""
    return f"{number:,}"


def _unseen(recorded: Mapping[str, Any]) -> list[tuple[str, str]]:
    unseen = recorded.get("unseen")
    return [("of unseen classes", count(unseen))] if unseen else []


def _in_order(per_class: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    order = confusion.natural_order([str(one["class"]) for one in per_class])
    return [per_class[place] for place in order]
