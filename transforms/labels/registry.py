"""Registry of label parsers, one for each kind of task."""

from collections.abc import Mapping
from typing import Any, Protocol

from triad_ml.transforms.labels.classes import class_names, target_text
from triad_ml.transforms.labels.numbers import number
from triad_ml.transforms.labels.spans import spans
from triad_ml.transforms.records.values import CanonicalRecord, Span
from triad_ml.transforms.spec.tasks import (
    ClassificationTask,
    GenerationTask,
    RegressionTask,
    TaggingTask,
    Task,
)


class LabelParser(Protocol):
    """Parser of the label that a record has for a task of one kind."""

    def parse(self, record: CanonicalRecord, task: Any) -> Any | None:
        """Parses the label; returns None if there is none.

        Raises:
            LabelError: If the label is not one of this kind.
        """

    def names(self, value: Any) -> tuple[str, ...]:
        """Returns the names of the classes in a parsed label, for statistics."""


class Classes:
    """Parser of classes and of sets of classes."""

    def parse(self, record: CanonicalRecord, task: ClassificationTask) -> tuple[str, ...] | None:
        return class_names(record.labels.get(task.label), task)

    def names(self, value: tuple[str, ...]) -> tuple[str, ...]:
        return value


class Spans:
    """Parser of labelled spans of the text; each span names one class."""

    def parse(self, record: CanonicalRecord, task: TaggingTask) -> tuple[Span, ...] | None:
        return spans(record, task)

    def names(self, value: tuple[Span, ...]) -> tuple[str, ...]:
        return tuple(span.label for span in value)


class Texts:
    """Parser of texts to be generated; they name no class."""

    def parse(self, record: CanonicalRecord, task: GenerationTask) -> str | None:
        return target_text(record.labels.get(task.label))

    def names(self, value: str) -> tuple[str, ...]:
        return ()


class Numbers:
    """Parser of numbers; they name no class."""

    def parse(self, record: CanonicalRecord, task: RegressionTask) -> float | None:
        return number(record.labels.get(task.label))

    def names(self, value: float) -> tuple[str, ...]:
        return ()


LABELS: Mapping[str, LabelParser] = {
    "classification": Classes(),
    "tagging": Spans(),
    "generation": Texts(),
    "regression": Numbers(),
}


def named(record: CanonicalRecord, task: Task) -> tuple[str, ...] | None:
    """Returns the names of the classes in a record's label; None if there is no label.

    Raises:
        LabelError: See `LabelParser.parse`.
    """
    parser = LABELS[task.kind]
    value = parser.parse(record, task)
    return None if value is None else parser.names(value)
