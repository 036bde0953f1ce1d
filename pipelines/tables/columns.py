"""Score columns: one class for each kind of task encodes, decodes and compares its values."""

import abc
import dataclasses
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import special

from triad_ml.transforms.records.values import (
    CanonicalRecord,
    Explanation,
    Number,
    Prediction,
    ScoredSpan,
    Tagged,
    Text,
)
from triad_ml.transforms.spec.tasks import Task

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

Values = Mapping[str, npt.NDArray[np.float64]]
"""Values of the rows of a column by measure, one of those that `measures.scale` knows."""

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class ScoreColumn(abc.ABC):
    """Column of one task: a struct for each scored record.

    Attributes:
        classes: Names of the classes in the order of the model's outputs; () for kinds without.
        explained: Modalities whose shares are part of each value; () without explanations.
        mark: Name of a field that only values of this kind have.
        has_classes: True if predictions of this kind name classes of the model.
        explainable: True if predictions of this kind may have the shares of the modalities.
    """

    classes: tuple[str, ...] = ()
    explained: tuple[str, ...] = ()

    mark: ClassVar[str]
    has_classes: ClassVar[bool] = False
    explainable: ClassVar[bool] = False

    @classmethod
    def of(cls, task: Task, classes: tuple[str, ...], explained: tuple[str, ...]) -> Self:
        """Makes the column of a task of a spec.

        Args:
            task: Section of the task in the spec.
            classes: Names of the task's classes in the model.
            explained: Modalities whose shares are requested.
        """
        del task
        return cls(classes if cls.has_classes else (), explained if cls.explainable else ())

    @abc.abstractmethod
    def arrow_type(self) -> pa.StructType:
        """Returns the Arrow type of the column."""

    @abc.abstractmethod
    def encode(self, answers: Sequence[Any]) -> pa.StructArray:
        """Makes the column of the model's predictions, one for each row."""

    @abc.abstractmethod
    def decode(self, column: pa.StructArray) -> Callable[[int], Any]:
        """Returns a function from a row's index to its prediction, of a column from `encode`."""

    def numbers(self, column: pa.StructArray) -> Values:
        """Returns the values whose histograms the statistics of a run have, by measure."""
        return {"confidence": _doubles(column.field("score"))}

    def names(self, column: pa.StructArray) -> Mapping[str, int]:
        """Counts the classes that the rows name; empty for kinds without classes."""
        return {}

    @classmethod
    def from_json(cls, values: Sequence[Mapping[str, Any]]) -> pa.StructArray:
        """Makes the column from at least one value of JSON Lines."""
        return pa.array(values, cls((), _modalities(values[0])).arrow_type())

    def _shares(self) -> list[tuple[str, pa.DataType]]:
        """Returns the fields of an explanation that are numbers: the baseline and the shares."""
        return [(name, pa.float32()) for name in ("baseline", *self.explained)]

    def _share_columns(self, explanations: Sequence[Explanation]) -> list[pa.FloatArray]:
        baselines = [explanation.baseline for explanation in explanations]
        shares = (
            [explanation.shares[name] for explanation in explanations] for name in self.explained
        )
        return [_floats(column) for column in (baselines, *shares)]

    @abc.abstractmethod
    def published(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Converts a value of the column to the form that parity compares.

        Args:
            value: Value of the column as `pyarrow` converts it to Python.

        Returns:
            Bytes or numbers by the name of a serving output; parity requires that they equal those
            of `served`.
        """

    def served(
        self, task: str, outputs: Arrays, row: int, record: CanonicalRecord
    ) -> dict[str, Any]:
        """Converts a row of the serving outputs to the form that parity compares, see `published`.

        Args:
            task: Name of the task.
            outputs: Serving outputs of all tasks by `TASK/NAME`.
            row: Index of the record's row.
            record: Record that was scored.
        """
        del record
        return {
            name.removeprefix(f"{task}/"): array[row]
            for name, array in outputs.items()
            if name.startswith(f"{task}/")
        }


@dataclasses.dataclass(frozen=True)
class Classification(ScoreColumn):
    """Column of a classification: label, its score, distribution, and on request an explanation.

    Attributes:
        multi_label: True if the label is a list of classes.
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
            np.stack([answer.distribution for answer in answers], out=shares, casting="same_kind")
        labels = [list(answer.label) if self.multi_label else answer.label for answer in answers]
        type_ = self.arrow_type()
        arrays = [
            pa.array(labels, type_.field("label").type),
            _floats([answer.score for answer in answers]),
            self._distributions(shares),
        ]
        if self.explained:
            arrays.append(self._explanations(answers))
        return pa.StructArray.from_arrays(arrays, fields=list(type_))

    def numbers(self, column: pa.StructArray) -> Values:
        """Returns confidence, and entropy as a share of the largest one possible.

        In a multi-label task, entropy is the mean of the classes' own entropies.
        """
        items = _doubles(column.field("distribution").items)
        shares = items.reshape(len(column), len(self.classes))
        return {**super().numbers(column), "entropy": self._entropy(shares)}

    def _entropy(self, shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        surprise: npt.NDArray[np.float64] = -special.xlogy(shares, shares)
        if self.multi_label:
            others = 1 - shares
            each = (surprise - special.xlogy(others, others)) / math.log(2)
            return np.asarray(each.mean(axis=1), np.float64)
        total = surprise.sum(axis=1) / math.log(max(shares.shape[1], 2))
        return np.asarray(total, np.float64)

    def names(self, column: pa.StructArray) -> Mapping[str, int]:
        labels = column.field("label")
        return _counted(labels.flatten() if self.multi_label else labels)

    def _distributions(self, shares: npt.NDArray[np.float32]) -> pa.MapArray:
        """Makes maps from class to probability of float32 `[rows, classes]`."""
        count, width = shares.shape
        indices = pa.array(np.tile(np.arange(width), count))
        keys = pa.array(self.classes, pa.string()).take(indices)
        offsets = pa.array(np.arange(count + 1, dtype=np.int32) * width)
        return pa.MapArray.from_arrays(offsets, keys, pa.array(shares.ravel()), DISTRIBUTION)

    def _explanations(self, answers: Sequence[Prediction]) -> pa.StructArray:
        explanations = _explained(answers)
        labels = pa.array([explanation.label for explanation in explanations], pa.string())
        arrays = [labels, *self._share_columns(explanations)]
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
            explanation = None
            if explanations is not None:
                values = explanations[row].as_py()
                explanation = Explanation(values.pop("label"), values.pop("baseline"), values)
            return Prediction(label, float(scores[row]), shares[row], explanation)

        return answer

    @classmethod
    def from_json(cls, values: Sequence[Mapping[str, Any]]) -> pa.StructArray:
        shape = cls((), _modalities(values[0]), isinstance(values[0]["label"], list))
        items = [{**value, "distribution": list(value["distribution"].items())} for value in values]
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
    """Column of a tagging: spans, each with a class and a score, and the score of all together.

    The spans are in characters of the caller's text.
    """

    mark = "spans"
    has_classes = True

    def arrow_type(self) -> pa.StructType:
        return pa.struct([("spans", SPANS), ("score", pa.float32())])

    def numbers(self, column: pa.StructArray) -> Values:
        spans = _doubles(column.field("spans").value_lengths())
        return {**super().numbers(column), "spans": spans}

    def names(self, column: pa.StructArray) -> Mapping[str, int]:
        return _counted(column.field("spans").flatten().field("label"))

    def encode(self, answers: Sequence[Tagged]) -> pa.StructArray:
        spans = [[span._asdict() for span in answer.spans] for answer in answers]
        arrays = [pa.array(spans, SPANS), _floats([answer.score for answer in answers])]
        return pa.StructArray.from_arrays(arrays, fields=list(self.arrow_type()))

    def decode(self, column: pa.StructArray) -> Callable[[int], Tagged]:
        def answer(row: int) -> Tagged:
            value = column[row].as_py()
            return Tagged(tuple(ScoredSpan(**span) for span in value["spans"]), value["score"])

        return answer

    def published(self, value: Mapping[str, Any]) -> dict[str, Any]:
        spans = value["spans"]
        triples = [[span["start"], span["end"], span["label"]] for span in spans]
        return {
            "spans": json.dumps(triples).encode(),
            "span_score": np.array([span["score"] for span in spans], np.float32),
            "score": np.float32(value["score"]),
        }

    def served(
        self, task: str, outputs: Arrays, row: int, record: CanonicalRecord
    ) -> dict[str, Any]:
        from triad_ml.model.tasks.tagging.task import tagged  # Imports TensorFlow.

        answer = tagged(task, outputs, row, record)
        spans = [span._asdict() for span in answer.spans]
        return self.published({"spans": spans, "score": answer.score})


@dataclasses.dataclass(frozen=True)
class Generation(ScoreColumn):
    """Column of a generation: a text and its score."""

    mark = "text"

    def arrow_type(self) -> pa.StructType:
        return pa.struct([("text", pa.string()), ("score", pa.float32())])

    def numbers(self, column: pa.StructArray) -> Values:
        characters = _doubles(pc.utf8_length(column.field("text")))
        return {**super().numbers(column), "characters": characters}

    def encode(self, answers: Sequence[Text]) -> pa.StructArray:
        texts = pa.array([answer.text for answer in answers], pa.string())
        arrays = [texts, _floats([answer.score for answer in answers])]
        return pa.StructArray.from_arrays(arrays, fields=list(self.arrow_type()))

    def decode(self, column: pa.StructArray) -> Callable[[int], Text]:
        return lambda row: Text(**column[row].as_py())

    def published(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {"text": value["text"].encode(), "score": np.float32(value["score"])}


@dataclasses.dataclass(frozen=True)
class Regression(ScoreColumn):
    """Column of a regression: a number, and on request an explanation of it."""

    mark = "value"
    explainable = True

    def arrow_type(self) -> pa.StructType:
        fields = [("value", pa.float32())]
        if self.explained:
            fields.append(("explanation", pa.struct(self._shares())))
        return pa.struct(fields)

    def numbers(self, column: pa.StructArray) -> Values:
        return {"value": _doubles(column.field("value"))}

    def encode(self, answers: Sequence[Number]) -> pa.StructArray:
        arrays = [_floats([answer.value for answer in answers])]
        if self.explained:
            shares = self._share_columns(_explained(answers))
            fields = list(pa.struct(self._shares()))
            arrays.append(pa.StructArray.from_arrays(shares, fields=fields))
        return pa.StructArray.from_arrays(arrays, fields=list(self.arrow_type()))

    def decode(self, column: pa.StructArray) -> Callable[[int], Number]:
        values = _numbers(column.field("value"))
        explanations = column.field("explanation") if self.explained else None

        def answer(row: int) -> Number:
            explanation = None
            if explanations is not None:
                fields = explanations[row].as_py()
                explanation = Explanation("", fields.pop("baseline"), fields)
            return Number(float(values[row]), explanation)

        return answer

    def published(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {"value": np.float32(value["value"])}


COLUMNS: Mapping[str, type[ScoreColumn]] = {
    "classification": Classification,
    "tagging": Tagging,
    "generation": Generation,
    "regression": Regression,
}
"""Class of the score column by kind of task."""


def kind_of(fields: Collection[str]) -> str:
    """Returns the kind of task whose published values have these fields.

    Raises:
        ValueError: Values of no kind have them.
    """
    for kind, column in COLUMNS.items():
        if column.mark in fields:
            return kind
    raise ValueError(f"no kind of task has values of {', '.join(fields)}")


def _explained(answers: Sequence[Prediction | Number]) -> list[Explanation]:
    explanations = [answer.explanation for answer in answers if answer.explanation is not None]
    if len(explanations) != len(answers):
        missing = len(answers) - len(explanations)
        raise AssertionError(f"{missing} predictions have no explanation")
    return explanations


def _modalities(value: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the modalities whose shares are part of a JSON value."""
    shares = value.get("explanation", {})
    return tuple(name for name in shares if name not in ("label", "baseline"))


def _floats(values: Sequence[float]) -> pa.FloatArray:
    return pa.array(np.array(values, np.float32))


def _numbers(column: pa.Array) -> npt.NDArray[np.float32]:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float32)


def _doubles(column: pa.Array) -> npt.NDArray[np.float64]:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)


def _counted(names: pa.Array) -> dict[str, int]:
    return {one["values"]: one["counts"] for one in pc.value_counts(names).to_pylist()}
