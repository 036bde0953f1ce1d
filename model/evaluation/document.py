"""The evaluation document: each task's metrics, as recorded and by modality subset."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from triad_ml.model.tasks.classification.metrics import classification as classification
from triad_ml.model.tasks.classification.metrics import multi_label as multi_label
from triad_ml.model.tasks.metrics import METRICS
from triad_ml.transforms.records.values import MODALITIES, SPLITS
from triad_ml.transforms.spec.tasks import Task

if TYPE_CHECKING:
    from rich.table import Table

AS_RECORDED = "as recorded"
"""Key of the metrics on every labelled record, with the modalities that it has."""

FIGURES: Mapping[str, Mapping[str, str]] = {kind: one.figures for kind, one in METRICS.items()}
"""By kind of task its own figures with their names, in the order of tables."""

MAIN_FIGURES = tuple(dict.fromkeys(key for figures in FIGURES.values() for key in figures))
"""Keys of the figures of all kinds of tasks, each with an interval."""

SUBSETS = tuple(
    "+".join(names)
    for size in range(1, len(MODALITIES) + 1)
    for names in itertools.combinations(MODALITIES, size)
)
"""The names of the seven modality subsets: `image` ... `image+audio+text`."""


def masks(modalities: Sequence[str]) -> dict[str, dict[str, bool]]:
    """What is visible in each subset that `modalities` allow.

    Returns:
        Subset name, in the order of `SUBSETS` -> modality -> True where it is visible.
    """
    return {
        subset: {name: name in subset.split("+") for name in modalities}
        for subset in SUBSETS
        if set(subset.split("+")) <= set(modalities)
    }


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
) -> dict[str, Any]:
    """One task's part of the evaluation document of one split.

    Args:
        task: The task as the spec has it.
        classes: Names, in the order of the columns.
        labels: Labels of all n records, as the task's metrics take them; see `METRICS`.
        said_as_recorded: Predictions with the modalities that records have: float32
            `[n, classes]`, `Tags` or `Written`.
        said_by_subset: Name from `SUBSETS` -> the same with the other modalities hidden; of a
            task that needs a text those with text are read. Only the rows of `complete_mask` are
            read.
        complete_mask: bool `[n]`: records that have each of the spec's modalities. Subsets are
            compared on these, so that every row of the comparison is about the same records.
        seed: Of the bootstrap.
        resamples: Number of bootstrap resamples.
        datasets: The name of each record's data set; None where nobody asks.
        linear: Predictions of linear models as recorded, by the modalities that they read; None
            where the task has no such models.

    Returns:
        `kind`, `multi_label`, `classes`, the metrics `as recorded`, and those of the `subsets`;
        where records of several data sets have a label also those `as recorded` of the `datasets`,
        by name; and those of `linear` models, by the modalities that they read.
    """
    metrics = METRICS[task.kind]
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

    def measured(rows: npt.NDArray[np.bool_], said: Any) -> dict[str, Any]:
        chosen = metrics.chosen(said, rows)
        return metrics.measure(task, truth[rows], chosen, classes, seed=seed, resamples=resamples)

    result: dict[str, Any] = {
        "kind": task.kind,
        "multi_label": task.multi_label,
        "classes": list(classes),
        AS_RECORDED: measured(np.ones(len(truth), bool), said_as_recorded),
        "subsets": {name: measured(complete, said_by_subset[name]) for name in order},
    }
    names = np.asarray(datasets if datasets is not None else [])
    parts = {str(name): names == name for name in np.unique(names)}
    if len(parts) > 1:
        each = {name: measured(rows, said_as_recorded) for name, rows in parts.items()}
        labelled = {name: metrics for name, metrics in each.items() if metrics["n"]}
        result |= {"datasets": labelled} if len(labelled) > 1 else {}
    if linear is not None:
        everyone = np.ones(len(truth), bool)
        result["linear"] = {name: measured(everyone, one) for name, one in linear.items()}
    return result


def document(splits: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """The evaluation document: split -> task -> what `evaluate_task` gives.

    Raises:
        ValueError: Where a split is none of train, eval and test.
    """
    if unknown := sorted(set(splits) - set(SPLITS)):
        raise ValueError(f"unknown splits {unknown}; known: {', '.join(SPLITS)}")
    return {"splits": {split: {"tasks": dict(tasks)} for split, tasks in splits.items()}}


def table(document: Mapping[str, Any], split: str = "test") -> "Table":
    """The figures of one split for a terminal: a row for each task and modality subset."""
    from rich import box
    from rich.table import Table

    result = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
        title=f"{split} split, 95% intervals",
        caption="as recorded: every record with what it has. Other rows: complete records, "
        "the other modalities hidden.",
    )
    for name in ("task", "modalities"):
        result.add_column(name, no_wrap=True)
    tasks = document["splits"].get(split, {"tasks": {}})["tasks"]
    kinds = {"classification", *(task["kind"] for task in tasks.values())}
    figures = {
        key: said for kind in FIGURES if kind in kinds for key, said in FIGURES[kind].items()
    }
    for name in ("n", *figures.values()):
        result.add_column(name, justify="right", no_wrap=True)
    for name, task in tasks.items():
        parts = {f"in {part or 'none'}": found for part, found in task.get("datasets", {}).items()}
        rows = {AS_RECORDED: task[AS_RECORDED], **parts, **task["subsets"]}
        for i, (subset, metrics) in enumerate(rows.items()):
            result.add_row(
                name if i == 0 else "",
                subset.replace("+", " + "),
                f"{metrics['n']:,}",
                *(interval_text(metrics[key]) if key in metrics else "" for key in figures),
                end_section=i == len(rows) - 1,
            )
    return result


def interval_text(interval: Mapping[str, float | None]) -> str:
    """A figure with its interval, such as `0.912 (0.87-0.94)`; a dash where undefined."""
    if interval["value"] is None:
        return "–"
    if interval["low"] is None:
        return f"{interval['value']:.3f}"
    return f"{interval['value']:.3f} ({interval['low']:.2f}-{interval['high']:.2f})"
