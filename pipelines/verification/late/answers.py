"""Registry by kind of task: labels and published values in the form that metrics compare."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from triad_ml.model.tasks.generation.metrics import Written
from triad_ml.model.tasks.tagging.metrics import Tags
from triad_ml.transforms.labels import spans
from triad_ml.transforms.labels.classes import class_names, target_text
from triad_ml.transforms.labels.numbers import number
from triad_ml.transforms.records.values import Span
from triad_ml.transforms.spec.tasks import KINDS, Task

Names = tuple[str, ...]


class Compared(NamedTuple):
    """Labels and predictions of the same records, as `document.evaluate_task` takes them.

    Attributes:
        labels: Labels.
        said: Predictions.
        thresholds: Lowest probability of each class in a predicted set; None for kinds without
            sets.
    """

    labels: npt.NDArray[Any]
    said: Any
    thresholds: tuple[float, ...] | None = None


class Answers(abc.ABC):
    """Labels and published values of one kind of task."""

    def section(self, kind: str, label: str, values: pa.StructType) -> Task:
        """Makes the section of a task of which only the published column is known.

        Args:
            kind: Kind of the task.
            label: Key of its label.
            values: Type of the column.
        """
        del values
        return cast(Task, KINDS[kind].model_validate({"kind": kind, "label": label}))

    @abc.abstractmethod
    def label(self, value: Any, task: Task) -> Any | None:
        """Parses a label; returns None if there is none.

        Raises:
            LabelError: If it is not of this kind.
        """

    @abc.abstractmethod
    def compared(
        self, labels: Sequence[Any], column: pa.StructArray, classes: Names, task: Task
    ) -> Compared:
        """Converts labels and the published column of the same records.

        Args:
            labels: Results of `label`; None where there is no label.
            column: Column of the task; see `tables.columns`.
            classes: Names of the task's classes in the model.
            task: Section of the task.
        """


class Classes(Answers):
    """Single classes, and sets of them."""

    def section(self, kind: str, label: str, values: pa.StructType) -> Task:
        sets = pa.types.is_list(values.field("label").type)
        given = {"kind": kind, "label": label, "multi_label": sets}
        return cast(Task, KINDS[kind].model_validate(given))

    def label(self, value: Any, task: Task) -> Names | None:
        return class_names(value, task)

    def compared(
        self, labels: Sequence[Names | None], column: pa.StructArray, classes: Names, task: Task
    ) -> Compared:
        shares = column.field("distribution").items.to_numpy(zero_copy_only=False)
        likely = np.asarray(shares, np.float32).reshape(len(column), len(classes))
        ids = {name: place for place, name in enumerate(classes)}
        unseen = len(classes)
        if not task.multi_label:
            truth = [-1 if names is None else ids.get(names[0], unseen) for names in labels]
            return Compared(np.array(truth, np.int64), likely)
        sets = _multi_hot(labels, ids)
        chosen = _multi_hot(column.field("label").to_pylist(), ids)[:, :unseen] > 0
        # Each class that is in a published set reached its threshold, and no other class did.
        lowest = np.where(chosen, likely, 1.0).min(axis=0, initial=1.0)
        return Compared(sets, likely, tuple(map(float, lowest)))


class Spans(Answers):
    """Spans of the text, in the caller's characters.

    Metrics take one tag for each word. Here a "word" is a stretch of characters between two edges
    of spans, so a span is right if its characters and its class are.
    """

    def label(self, value: Any, task: Task) -> tuple[Span, ...] | None:
        return spans.placed(value)

    def compared(
        self,
        labels: Sequence[tuple[Span, ...] | None],
        column: pa.StructArray,
        classes: Names,
        task: Task,
    ) -> Compared:
        ids = {name: place for place, name in enumerate(classes)}
        published = column.field("spans").to_pylist()
        edges = [_edges(label or (), own) for label, own in zip(labels, published, strict=True)]
        length = max((len(one) for one in edges), default=1)
        shape = (len(published), length)
        truth, tags = np.full(shape, -1, np.int64), np.zeros(shape, np.int64)
        scores = np.zeros(shape, np.float32)
        for row, (label, own, places) in enumerate(zip(labels, published, edges, strict=True)):
            for one in own:
                first, last = places[one["start"]], places[one["end"]]
                tags[row, first:last] = _tags(ids[one["label"]], last - first)
                scores[row, first] = one["score"]
            if label is None:
                continue
            truth[row] = 0
            for span in label:
                first, last = places[span.start], places[span.end]
                truth[row, first:last] = _tags(ids.get(span.label, len(classes)), last - first)
        return Compared(truth, Tags(tags, scores))


class Texts(Answers):
    """Generated texts."""

    def label(self, value: Any, task: Task) -> str | None:
        return target_text(value)

    def compared(
        self, labels: Sequence[str | None], column: pa.StructArray, classes: Names, task: Task
    ) -> Compared:
        truth = np.array([(one or "").encode() for one in labels], object)
        texts = np.array([one.encode() for one in column.field("text").to_pylist()], object)
        scores = column.field("score").to_numpy(zero_copy_only=False)
        return Compared(truth, Written(texts, np.asarray(scores, np.float32)))


class Numbers(Answers):
    """Numbers."""

    def label(self, value: Any, task: Task) -> float | None:
        return number(value)

    def compared(
        self, labels: Sequence[float | None], column: pa.StructArray, classes: Names, task: Task
    ) -> Compared:
        truth = [(-1.0, -1.0) if one is None else (1.0, one) for one in labels]
        values = column.field("value").to_numpy(zero_copy_only=False)
        return Compared(np.array(truth, np.float32).reshape(-1, 2), np.asarray(values, np.float32))


ANSWERS: Mapping[str, Answers] = {
    "classification": Classes(),
    "tagging": Spans(),
    "generation": Texts(),
    "regression": Numbers(),
}


def _multi_hot(sets: Sequence[Sequence[str] | None], ids: Mapping[str, int]) -> Any:
    """Encodes sets as float32 `[n, classes + 1]`; see `metrics.multi_label`."""
    hot = np.zeros((len(sets), len(ids) + 1), np.float32)
    for row, names in enumerate(sets):
        if names is None:
            hot[row] = -1
            continue
        for name in names:
            hot[row, ids.get(name, len(ids))] = 1
    return hot


def _edges(label: Sequence[Span], own: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Numbers the edges of the spans of a record, by rising character."""
    edges = {edge for span in label for edge in (span.start, span.end)}
    edges |= {span[side] for span in own for side in ("start", "end")}
    return {edge: place for place, edge in enumerate(sorted(edges))}


def _tags(of_class: int, length: int) -> npt.NDArray[np.int64]:
    """Returns the tags of a span; see `bio`."""
    tags = np.full(length, 2 + 2 * of_class, np.int64)
    tags[0] = 1 + 2 * of_class
    return tags
