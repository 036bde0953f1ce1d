"""Records of files with the labels of a model's tasks, for comparisons of what models predict."""

import collections
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from triad_ml.pipelines.sources import read, units
from triad_ml.pipelines.tables.columns import COLUMNS
from triad_ml.pipelines.verification.late.answers import ANSWERS, Compared
from triad_ml.transforms.labels.classes import LabelError
from triad_ml.transforms.records.values import RawRecord
from triad_ml.transforms.spec.tasks import Task


def raw_records(
    inputs: Sequence[str], label_keys: Collection[str], left_out: collections.Counter[str]
) -> Iterator[RawRecord]:
    """Yields the records of files, in their order.

    Args:
        inputs: Patterns of records files.
        label_keys: Keys of the labels.
        left_out: Counter by reason, to which the lines that are no records are added, and records
            with the id of an earlier one.
    """
    seen = set[str]()
    for unit in units.plan(units.list_inputs(inputs)):
        for row in read.read(unit, tuple(label_keys)):
            if not isinstance(row, RawRecord):
                left_out["not readable"] += 1
            elif row.id in seen:
                left_out["id of an earlier record"] += 1
            else:
                seen.add(row.id)
                yield row


def labels_of(labels: Mapping[str, Any], tasks: Mapping[str, Task]) -> dict[str, Any] | None:
    """Parses the labels of a record.

    Returns:
        Labels by task, None for one that is missing or cannot be used; None if all are.
    """
    parsed = {name: label_of(labels, task) for name, task in tasks.items()}
    return None if all(one is None for one in parsed.values()) else parsed


def compared(
    task: Task, classes: tuple[str, ...], labels: Sequence[Any], answers: Sequence[Any]
) -> Compared:
    """Converts labels and the predictions of a model for the same records.

    Args:
        task: Section of the task.
        classes: Names of the task's classes in the model.
        labels: Parsed labels; None where there is none.
        answers: Predictions of the task.
    """
    column = COLUMNS[task.kind].of(task, classes, ()).encode(answers)
    return ANSWERS[task.kind].compared(labels, column, classes, task)


def label_of(labels: Mapping[str, Any], task: Task) -> Any | None:
    """Parses the label of a task; returns None if it is missing or cannot be used."""
    try:
        return ANSWERS[task.kind].label(labels.get(task.label), task)
    except LabelError:
        return None
