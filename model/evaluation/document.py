"""Evaluation document: metrics of each task, on records as they are and by modality subset."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from triad_ml.model.tasks.classification.temperature import LEAST
from triad_ml.model.tasks.metrics import METRICS, TaskMetrics, metrics_of
from triad_ml.transforms.records.values import MODALITIES, SPLITS
from triad_ml.transforms.spec.tasks import Task

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

AS_RECORDED = "as recorded"
"""Key of the metrics on all labelled records, each with the modalities that it has."""

FIGURES: Mapping[str, Mapping[str, str]] = {
    kind: metrics.figures for kind, metrics in METRICS.items()
}
"""By kind of task, the keys of its main figures with their names, in the order of table columns."""

MAIN_FIGURES = tuple(dict.fromkeys(key for figures in FIGURES.values() for key in figures))
"""Keys of the main figures of all kinds of tasks; each figure has a confidence interval."""

SUBSETS = tuple(
    "+".join(names)
    for size in range(1, len(MODALITIES) + 1)
    for names in itertools.combinations(MODALITIES, size)
)
"""Names of the seven modality subsets, from `image` to `image+audio+text`."""


def masks(modalities: Sequence[str]) -> dict[str, dict[str, bool]]:
    """Returns the visible modalities of each subset of `modalities`.

    Returns:
        Subset name, in the order of `SUBSETS` -> modality -> True if it is visible.
    """
    return {
        subset: {name: name in subset.split("+") for name in modalities}
        for subset in SUBSETS
        if set(subset.split("+")) <= set(modalities)
    }


FEW = 30
"""Number of records with a label below which the figures of a slice are marked as of few."""


class Temperature(NamedTuple):
    """Temperature by which the logits of a task are divided, and predictions without it.

    Attributes:
        value: The temperature; 1 if too few records have a label.
        records: Number of records with a label in the eval split.
        said: Predictions of the same split at temperature 1; None if the temperature is not fitted.
    """

    value: float
    records: int
    said: Any = None


def evaluate_task(
    task: Task,
    classes: Sequence[str],
    labels: npt.ArrayLike,
    said_as_recorded: Any,
    said_by_subset: Mapping[str, Any],
    complete_mask: npt.ArrayLike,
    *,
    seed: int = 0,
    resamples: int = 1000,
    datasets: Sequence[str] | None = None,
    linear: Mapping[str, Any] | None = None,
    thresholds: Sequence[float] | None = None,
    temperature: Temperature | None = None,
    slices: Mapping[str, Mapping[str, npt.NDArray[np.bool_]]] | None = None,
) -> dict[str, Any]:
    """Computes one task's part of the evaluation document of one split.

    Args:
        task: Section of the spec for the task.
        classes: Names of the classes, in the order of the columns.
        labels: Labels of all n records, in the form that the task's metrics take; see `METRICS`.
        said_as_recorded: Predictions with the modalities that the records have: float32
            `[n, classes]` for classification, float32 `[n]` for regression, `Tags` or `Written`.
        said_by_subset: Name from `SUBSETS` -> predictions with the other modalities hidden. Only
            the rows of `complete_mask` are read, and for a task that needs a text only the subsets
            with text.
        complete_mask: bool `[n]`, True for records that have all modalities of the spec. Subsets
            are compared on these records alone, so that all of them cover the same records.
        seed: Seed of the bootstrap.
        resamples: Number of bootstrap resamples.
        datasets: Names of the records' data sets, `[n]`; None if there is no breakdown by data set.
        linear: By the modalities that they read, predictions of linear models with the modalities
            that the records have; None if there are no such models.
        thresholds: Lowest probability of each class in a set that the network predicts; None for
            0.5. Sets of linear models are always those of 0.5.
        temperature: Temperature of the task; None if the training fits none for it.
        slices: By column, the rows of each slice, bool `[n]`, by its name.

    Returns:
        `kind`, `multi_label`, `classes`, the metrics `as recorded`, and those of the `subsets`. If
        records of several data sets have a label, also `datasets`: the metrics `as recorded` of
        each data set, by its name. With linear models also `linear`: their metrics `as recorded`,
        by the modalities that they read. With a temperature also `temperature`: its `value`, the
        number of labelled `records` of the eval split, and `ece_before`, the expected calibration
        error at temperature 1 (None if no temperature is fitted). With slices also `slices`: by
        column, a list of the slices that have labels, each with its name as `slice`, `n`, `few`
        (True below `FEW` records) and the main figures. Those of few records are last; otherwise
        the first is furthest below the whole, by the first figure.

    Raises:
        ValueError: If a name in `said_by_subset` is not in `SUBSETS`.
    """
    plain = METRICS[task.kind]
    metrics = metrics_of(task.kind, thresholds)
    if not metrics.names_classes:
        classes = ()
    complete = np.asarray(complete_mask, bool)
    truth = np.asarray(labels)
    order = [name for name in SUBSETS if name in said_by_subset]
    if len(order) != len(said_by_subset):
        unknown = sorted(set(said_by_subset) - set(SUBSETS))
        raise ValueError(f"unknown subsets {unknown}; known: {', '.join(SUBSETS)}")

    if task.needs_text:
        order = [name for name in order if "text" in name.split("+")]

    def measured(
        rows: npt.NDArray[np.bool_], predictions: Any, metrics: TaskMetrics = metrics
    ) -> dict[str, Any]:
        chosen = metrics.chosen(predictions, rows)
        return metrics.measure(task, truth[rows], chosen, classes, seed=seed, resamples=resamples)

    everyone = np.ones(len(truth), bool)
    result: dict[str, Any] = {
        "kind": task.kind,
        "multi_label": task.multi_label,
        "classes": list(classes),
        AS_RECORDED: measured(everyone, said_as_recorded),
        "subsets": {name: measured(complete, said_by_subset[name]) for name in order},
    }
    names = np.asarray(datasets if datasets is not None else [])
    parts = {str(name): names == name for name in np.unique(names)}
    if len(parts) > 1:
        each = {name: measured(rows, said_as_recorded) for name, rows in parts.items()}
        labelled = {name: metrics for name, metrics in each.items() if metrics["n"]}
        result |= {"datasets": labelled} if len(labelled) > 1 else {}
    if linear is not None:
        result["linear"] = {name: measured(everyone, one, plain) for name, one in linear.items()}
    if slices:
        whole = result[AS_RECORDED]
        result["slices"] = {
            column: _ranked(
                {name: measured(rows, said_as_recorded) for name, rows in own.items()}, whole, plain
            )
            for column, own in slices.items()
        }
    if temperature is not None:
        before = None
        if temperature.said is not None:
            raw = metrics.measure(task, truth, temperature.said, classes, seed=seed, resamples=1)
            before = raw["calibration"]["ece"]
        result["temperature"] = {
            "value": temperature.value,
            "records": temperature.records,
            "ece_before": before,
        }
    return result


def _ranked(
    measured: Mapping[str, Mapping[str, Any]], whole: Mapping[str, Any], metrics: TaskMetrics
) -> list[dict[str, Any]]:
    """Arranges the metrics of the slices of a column; see `evaluate_task`."""
    key = next(iter(metrics.figures))
    sign = -1 if metrics.lower_is_better else 1

    def rank(one: Mapping[str, Any]) -> tuple[bool, float]:
        value = one[key]["value"]
        above = math.inf if value is None else sign * (value - whole[key]["value"])
        return one["few"], above

    kept = [
        {
            "slice": name,
            "n": one["n"],
            "few": one["n"] < FEW,
            **{figure: one[figure] for figure in metrics.figures},
        }
        for name, one in measured.items()
        if one["n"]
    ]
    return sorted(kept, key=rank)


class Floor(NamedTuple):
    """The best simpler predictor of a task, by the first figure of its kind.

    Attributes:
        modalities: Modalities that it reads, such as `image+text`.
        figure: Name of the figure in tables.
        value: Value of the figure.
        network: Value of the same figure of the model itself.
        beaten: True if the model is at least as good.
        beyond: True if the model is worse beyond its 95% interval, on at least `FEW` records.
        records: Number of records that both predict.
    """

    modalities: str
    figure: str
    value: float
    network: float
    beaten: bool
    beyond: bool
    records: int

    @property
    def shortfall(self) -> float:
        """Share of the value by which the model is worse; 0 if it is at least as good."""
        if self.beaten:
            return 0.0
        return abs(self.network - self.value) / abs(self.value) if self.value else math.inf


def floor(evaluated: Mapping[str, Any]) -> Floor | None:
    """Compares a task's network with its linear models on the records as recorded.

    Args:
        evaluated: Result of `evaluate_task`.

    Returns:
        The best linear model; None if there is none, or no record with a label.
    """
    return _best(evaluated["kind"], evaluated[AS_RECORDED], evaluated.get("linear", {}))


def single(evaluated: Mapping[str, Any]) -> Floor | None:
    """Compares a task's figures with all modalities and with each alone, on complete records.

    Args:
        evaluated: Result of `evaluate_task`.

    Returns:
        The best single modality; None if there is only one, or no complete record with a label.
    """
    subsets = evaluated.get("subsets", {})
    if len(subsets) < 2:
        return None
    *_, largest = subsets
    alone = {name: one for name, one in subsets.items() if "+" not in name}
    return _best(evaluated["kind"], subsets[largest], alone)


def _best(
    kind: str, whole: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]
) -> Floor | None:
    """Compares metrics of a task with those of simpler predictors on the same records."""
    metrics = METRICS[kind]
    key, figure = next(iter(metrics.figures.items()))
    values = {name: one[key]["value"] for name, one in others.items()}
    own = whole[key]["value"]
    if not values or own is None or None in values.values():
        return None
    sign = -1 if metrics.lower_is_better else 1
    best = max(values, key=lambda name: sign * values[name])
    edge = whole[key]["low" if metrics.lower_is_better else "high"]
    clear = edge is not None and sign * values[best] > sign * edge and whole["n"] >= FEW
    beaten = sign * own >= sign * values[best]
    return Floor(best, figure, values[best], own, beaten, clear, whole["n"])


def recipe_text(recipe: Mapping[str, Any]) -> str:
    """Says what predicts a task, and by which figures that was chosen.

    Args:
        recipe: Value of `recipes` in the evaluation document.
    """
    mean = f"a mean with {recipe['share']:g} of linear models and the rest of the network"
    texts = {"network": "the network alone", "linear": "linear models alone", "blend": mean}
    text = f"predicted by {texts[recipe['name']]}"
    if recipe["measured"] is None:
        return text
    figures = ", ".join(f"{name} {value:.3f}" for name, value in recipe["figures"].items())
    where = f"{recipe['records']} records of {recipe['measured']}"
    return f"{text}; {recipe['figure']} on {where}: {figures}"


def temperature_text(evaluated: Mapping[str, Any]) -> str:
    """Says how a task's probabilities are calibrated, or why they are not.

    Args:
        evaluated: Result of `evaluate_task` with a temperature.
    """
    found = evaluated["temperature"]
    if found["records"] < LEAST:
        return (
            f"probabilities are not calibrated: {found['records']} records of the eval split have "
            f"the label, and a temperature needs {LEAST}"
        )
    records = f"{found['records']} records of the eval split"
    text = f"temperature {found['value']:.3g}, fitted to {records}"
    after = evaluated[AS_RECORDED]["calibration"]["ece"]
    if after is None:
        return text
    return f"{text}; expected calibration error {found['ece_before']:.3f} before, {after:.3f} after"


def document(
    splits: Mapping[str, Mapping[str, Mapping[str, Any]]],
    recipes: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Builds the evaluation document.

    Args:
        splits: Split -> task -> result of `evaluate_task`.
        recipes: By task, what predicts it, and by which figures that was chosen; see
            `recipe.choice.Recipe`. Tasks that it lacks are predicted by the network.

    Raises:
        ValueError: If a split is not one of train, eval and test.
    """
    if unknown := sorted(set(splits) - set(SPLITS)):
        raise ValueError(f"unknown splits {unknown}; known: {', '.join(SPLITS)}")
    whole: dict[str, Any] = {
        "splits": {split: {"tasks": dict(tasks)} for split, tasks in splits.items()}
    }
    return whole | ({"recipes": dict(recipes)} if recipes else {})


def table(document: Mapping[str, Any], split: str = "test") -> "Table":
    """Builds a terminal table of one split's figures, with a row per task and modality subset."""
    return tasks_table(
        document["splits"].get(split, {"tasks": {}})["tasks"],
        f"{split} split, 95% intervals",
        "as recorded: every record with what it has. Other rows: complete records, "
        "the other modalities hidden.",
    )


def tasks_table(tasks: Mapping[str, Mapping[str, Any]], title: str, caption: str) -> "Table":
    """Builds a terminal table of tasks, with a row per data set, subset, linear model and slice.

    Args:
        tasks: By task, the result of `evaluate_task`.
        title: Title above the table.
        caption: Text below the table.
    """
    from rich import box
    from rich.table import Table

    result = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
        title=title,
        caption=caption,
    )
    for name in ("task", "modalities"):
        result.add_column(name, no_wrap=True)
    kinds = {"classification", *(task["kind"] for task in tasks.values())}
    figures = {
        key: title for kind in FIGURES if kind in kinds for key, title in FIGURES[kind].items()
    }
    for name in ("n", *figures.values()):
        result.add_column(name, justify="right", no_wrap=True)
    for name, task in tasks.items():
        datasets = task.get("datasets", {}).items()
        parts = {f"in {dataset or 'none'}": metrics for dataset, metrics in datasets}
        linear = {f"linear, {part}": found for part, found in task.get("linear", {}).items()}
        sliced = {
            f"{column} {one['slice']}{' (few)' if one['few'] else ''}": one
            for column, found in task.get("slices", {}).items()
            for one in found
        }
        rows = {AS_RECORDED: task[AS_RECORDED], **parts, **task["subsets"], **linear, **sliced}
        for i, (subset, metrics) in enumerate(rows.items()):
            result.add_row(
                _plain(name if i == 0 else ""),
                _plain(subset.replace("+", " + ") if subset in task["subsets"] else subset),
                f"{metrics['n']:,}",
                *(interval_text(metrics[key]) if key in metrics else "" for key in figures),
                end_section=i == len(rows) - 1,
            )
    return result


def _plain(name: str) -> "Text":
    """Returns a name of the user as it is: without markup, and without control characters."""
    from rich.text import Text

    return Text("".join(one if one.isprintable() else "\ufffd" for one in name))


def interval_text(interval: Mapping[str, float | None]) -> str:
    """Formats a figure with its interval, such as `0.912 (0.87-0.94)`; a dash if undefined."""
    if interval["value"] is None:
        return "–"
    if interval["low"] is None:
        return f"{interval['value']:.3f}"
    return f"{interval['value']:.3f} ({interval['low']:.2f}-{interval['high']:.2f})"
