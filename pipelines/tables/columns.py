"""Columns of the scores, one class for each kind of task: what is written, read and compared."""

import abc
import dataclasses
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from triad_ml.transforms.records.values import (
    CanonicalRecord,
    Explanation,
    Number,
    Prediction,
    ScoredSpan,
    Tagged,
    Text,
)
from triad_ml.transforms.spec.spec import Task

TEXTS = pa.list_(pa.string())
DISTRIBUTION = pa.map_(pa.string(), pa.float32())
SPANS = pa.list_(
    pa.struct(
        [
            ("start", pa.int32()),
            ("end", pa.int32()),
            ("label", pa.string()),
            ("score", pa.float32()),
        ]
    )
)

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class ScoreColumn(abc.ABC):
    """The column of one task: a struct for each scored record.

    Attributes:
        classes: Names of the classes in the order of the model's outputs; () of a kind without.
        explained: Modalities whose shares are part of each value; none if empty.
        mark: Field that values of this kind have, and values of other kinds have not.
        has_classes: Answers of this kind are made of the model's classes.
        explainable: Answers of this kind may come with the shares of the modalities.
    """

    classes: tuple[str, ...] = ()
    explained: tuple[str, ...] = ()

    mark: ClassVar[str]
    has_classes: ClassVar[bool] = False
    explainable: ClassVar[bool] = False

    @classmethod
    def of(cls, task: Task, classes: tuple[str, ...], explained: tuple[str, ...]) -> Self:
        """The column of a task of a spec.

        Args:
            task: As the spec has it.
            classes: What the model calls the classes of the task.
            explained: Modalities whose shares are asked for.
        """
        del task
        return cls(classes if cls.has_classes else (), explained if cls.explainable else ())

    @abc.abstractmethod
    def arrow_type(self) -> pa.StructType:
        """The type of the column."""

    @abc.abstractmethod
    def encode(self, answers: Sequence[Any]) -> pa.StructArray:
        """The column of the model's answers, one a row."""

    @abc.abstractmethod
    def decode(self, column: pa.StructArray) -> Callable[[int], Any]:
        """A reader of a column that `encode` made: row -> the model's answer."""

    @classmethod
    def from_json(cls, values: Sequence[Mapping[str, Any]]) -> pa.StructArray:
        """The column of at least one value as JSON Lines have them."""
        return pa.array(values, cls((), _modalities(values[0])).arrow_type())

    def _shares(self) -> list[tuple[str, pa.DataType]]:
        """Fields of the numbers of an explanation."""
        return [(name, pa.float32()) for name in ("baseline", *self.explained)]

    def _share_columns(self, said: Sequence[Explanation]) -> list[pa.FloatArray]:
        shares = ([one.shares[name] for one in said] for name in self.explained)
        return [_floats(column) for column in ([one.baseline for one in said], *shares)]

    @abc.abstractmethod
    def published(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """A value of the column as parity compares it.

        Args:
            value: As `pyarrow` gives it to Python.

        Returns:
            Name of a serving output -> bytes or numbers, to be equal to those of `served`.
        """

    def served(
        self, task: str, outputs: Arrays, row: int, record: CanonicalRecord
    ) -> dict[str, Any]:
        """A row of the serving outputs as parity compares it, see `published`.

        Args:
            task: Name of the task.
            outputs: Of all tasks, by `TASK/NAME`.
            row: Place of the record.
            record: What was scored.
        """
        del record
        return {
            name.removeprefix(f"{task}/"): array[row]
            for name, array in outputs.items()
            if name.startswith(f"{task}/")
        }


@dataclasses.dataclass(frozen=True)
class Classification(ScoreColumn):
    """Label, its score, the distribution, and on request an explanation.

    Attributes:
        multi_label: The label is a list of classes.
    """

    multi_label: bool = False

    mark = "distribution"
    has_classes = True
    explainable = True

    @classmethod
    def of(cls, task: Task, classes: tuple[str, ...], explained: tuple[str, ...]) -> Self:
        return cls(classes, explained, task.multi_label)

    def arrow_type(self) -> pa.StructType:
        label = TEXTS if self.multi_label else pa.string()
        fields = [("label", label), ("score", pa.float32()), ("distribution", DISTRIBUTION)]
        if self.explained:
            fields.append(("explanation", self._explanation_type()))
        return pa.struct(fields)

    def _explanation_type(self) -> pa.StructType:
        return pa.struct([("label", pa.string()), *self._shares()])

    def encode(self, answers: Sequence[Prediction]) -> pa.StructArray:
        shares = np.zeros((len(answers), len(self.classes)), np.float32)
        if answers:
            np.stack([one.distribution for one in answers], out=shares, casting="same_kind")
        labels = [list(one.label) if self.multi_label else one.label for one in answers]
        type_ = self.arrow_type()
        arrays = [
            pa.array(labels, type_.field("label").type),
            _floats([one.score for one in answers]),
            self._distributions(shares),
        ]
        if self.explained:
            arrays.append(self._explanations(answers))
        return pa.StructArray.from_arrays(arrays, fields=list(type_))

    def _distributions(self, shares: npt.NDArray[np.float32]) -> pa.MapArray:
        """Maps of class to probability from `[rows, classes]`."""
        count, width = shares.shape
        places = pa.array(np.tile(np.arange(width), count))
        keys = pa.array(self.classes, pa.string()).take(places)
        offsets = pa.array(np.arange(count + 1, dtype=np.int32) * width)
        return pa.MapArray.from_arrays(offsets, keys, pa.array(shares.ravel()), DISTRIBUTION)

    def _explanations(self, answers: Sequence[Prediction]) -> pa.StructArray:
        said = _explained(answers)
        labels = pa.array([one.label for one in said], pa.string())
        arrays = [labels, *self._share_columns(said)]
        return pa.StructArray.from_arrays(arrays, fields=list(self._explanation_type()))

    def decode(self, column: pa.StructArray) -> Callable[[int], Prediction]:
        labels = column.field("label")
        scores = _numbers(column.field("score"))
        shares = _numbers(column.field("distribution").items)
        shares = shares.reshape(len(column), len(self.classes))
        explanations = column.field("explanation") if self.explained else None

        def answer(row: int) -> Prediction:
            label = labels[row].as_py()
            label = tuple(label) if isinstance(label, list) else label
            why = None
            if explanations is not None:
                said = explanations[row].as_py()
                why = Explanation(said.pop("label"), said.pop("baseline"), said)
            return Prediction(label, float(scores[row]), shares[row], why)

        return answer

    @classmethod
    def from_json(cls, values: Sequence[Mapping[str, Any]]) -> pa.StructArray:
        shape = cls((), _modalities(values[0]), isinstance(values[0]["label"], list))
        items = [{**one, "distribution": list(one["distribution"].items())} for one in values]
        return pa.array(items, shape.arrow_type())

    def published(self, value: Mapping[str, Any]) -> dict[str, Any]:
        labels = value["label"] if self.multi_label else [value["label"]]
        shares = dict(value["distribution"])
        return {
            "label": "\0".join(labels).encode(),
            "score": np.float32(value["score"]),
            "distribution": np.array([shares[name] for name in self.classes], np.float32),
        }


@dataclasses.dataclass(frozen=True)
class Tagging(ScoreColumn):
    """Spans of the caller's text, each with a class and a score, and the score of all of them."""

    mark = "spans"
    has_classes = True

    def arrow_type(self) -> pa.StructType:
        return pa.struct([("spans", SPANS), ("score", pa.float32())])

    def encode(self, answers: Sequence[Tagged]) -> pa.StructArray:
        spans = [[span._asdict() for span in one.spans] for one in answers]
        arrays = [pa.array(spans, SPANS), _floats([one.score for one in answers])]
        return pa.StructArray.from_arrays(arrays, fields=list(self.arrow_type()))

    def decode(self, column: pa.StructArray) -> Callable[[int], Tagged]:
        def answer(row: int) -> Tagged:
            said = column[row].as_py()
            return Tagged(tuple(ScoredSpan(**span) for span in said["spans"]), said["score"])

        return answer

    def published(self, value: Mapping[str, Any]) -> dict[str, Any]:
        spans = value["spans"]
        places = [[span["start"], span["end"], span["label"]] for span in spans]
        return {
            "spans": json.dumps(places).encode(),
            "span_score": np.array([span["score"] for span in spans], np.float32),
            "score": np.float32(value["score"]),
        }

    def served(
        self, task: str, outputs: Arrays, row: int, record: CanonicalRecord
    ) -> dict[str, Any]:
        from triad_ml.model.serving.scorer import tagged  # which imports TensorFlow

        said = tagged(task, outputs, row, record)
        spans = [span._asdict() for span in said.spans]
        return self.published({"spans": spans, "score": said.score})


@dataclasses.dataclass(frozen=True)
class Generation(ScoreColumn):
    """A text and its score."""

    mark = "text"

    def arrow_type(self) -> pa.StructType:
        return pa.struct([("text", pa.string()), ("score", pa.float32())])

    def encode(self, answers: Sequence[Text]) -> pa.StructArray:
        texts = pa.array([one.text for one in answers], pa.string())
        arrays = [texts, _floats([one.score for one in answers])]
        return pa.StructArray.from_arrays(arrays, fields=list(self.arrow_type()))

    def decode(self, column: pa.StructArray) -> Callable[[int], Text]:
        return lambda row: Text(**column[row].as_py())

    def published(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {"text": value["text"].encode(), "score": np.float32(value["score"])}


@dataclasses.dataclass(frozen=True)
class Regression(ScoreColumn):
    """A number, and on request an explanation of it."""

    mark = "value"
    explainable = True

    def arrow_type(self) -> pa.StructType:
        fields = [("value", pa.float32())]
        if self.explained:
            fields.append(("explanation", pa.struct(self._shares())))
        return pa.struct(fields)

    def encode(self, answers: Sequence[Number]) -> pa.StructArray:
        arrays = [_floats([one.value for one in answers])]
        if self.explained:
            shares = self._share_columns(_explained(answers))
            fields = list(pa.struct(self._shares()))
            arrays.append(pa.StructArray.from_arrays(shares, fields=fields))
        return pa.StructArray.from_arrays(arrays, fields=list(self.arrow_type()))

    def decode(self, column: pa.StructArray) -> Callable[[int], Number]:
        values = _numbers(column.field("value"))
        explanations = column.field("explanation") if self.explained else None

        def answer(row: int) -> Number:
            why = None
            if explanations is not None:
                said = explanations[row].as_py()
                why = Explanation("", said.pop("baseline"), said)
            return Number(float(values[row]), why)

        return answer

    def published(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {"value": np.float32(value["value"])}


COLUMNS: Mapping[str, type[ScoreColumn]] = {
    "classification": Classification,
    "tagging": Tagging,
    "generation": Generation,
    "regression": Regression,
}
"""By kind of task, its column of the scores."""


def kind_of(fields: Collection[str]) -> str:
    """The kind of task whose published values have these fields.

    Raises:
        ValueError: No kind has.
    """
    for kind, column in COLUMNS.items():
        if column.mark in fields:
            return kind
    raise ValueError(f"no kind of task has values of {', '.join(fields)}")


def _explained(answers: Sequence[Prediction | Number]) -> list[Explanation]:
    said = [one.explanation for one in answers if one.explanation is not None]
    if len(said) != len(answers):
        raise AssertionError(f"{len(answers) - len(said)} predictions have no explanation")
    return said


def _modalities(value: Mapping[str, Any]) -> tuple[str, ...]:
    """Modalities whose shares are part of a value that JSON has."""
    shares = value.get("explanation", {})
    return tuple(name for name in shares if name not in ("label", "baseline"))


def _floats(values: Sequence[float]) -> pa.FloatArray:
    return pa.array(np.array(values, np.float32))


def _numbers(column: pa.Array) -> npt.NDArray[np.float32]:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float32)
