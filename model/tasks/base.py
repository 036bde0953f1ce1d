"""Interface of a task's head: all that data, network, training and serving ask of one task."""

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from triad_ml.transforms.records.values import (
    CanonicalRecord,
    Explanation,
    Number,
    Prediction,
    Tagged,
    Text,
)
from triad_ml.transforms.spec.spec import Spec

Tensors = dict[str, tf.Tensor]
Columns: TypeAlias = Mapping[str, tf.Tensor]
Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
Weights: TypeAlias = npt.NDArray[np.float32]
FeatureDescription = dict[str, tf.io.FixedLenFeature | tf.io.RaggedFeature]
Said: TypeAlias = Prediction | Tagged | Text | Number

Reader: TypeAlias = Callable[[int, CanonicalRecord, Explanation | None], Said]
"""Function that reads a row, of the record that it is about, and takes in its explanation."""

SURFACES = "text_surface"
"""The feature that holds the tokens as the text has them."""


def output_name(task: str, part: str) -> str:
    """Names a serving output, such as `<task>/label`; `TaskHead.parts` lists the parts.

    The signature `explain` adds `<task>/baseline` and `<task>/shares`; see `shapley.Explainer`.
    """
    return f"{task}/{part}"


class Fused(NamedTuple):
    """Tensors of the network that heads read.

    Attributes:
        joint: Joint embedding, float32 `[batch, dim]`.
        words: The text tower's words, float32 `[batch, length, width]`, and which of them are
            there, bool `[batch, length]`; None where the spec has no texts.
        embeddings: By modality, the embedding of its tower, float32 `[batch, dim]`.
        used: Which modalities are there and not hidden, bool `[batch, modalities]`.
        inputs: The network's inputs, by name.
        hidden: Units of a hidden layer that heads on the joint embedding have; 0 is none.
    """

    joint: keras.KerasTensor
    words: tuple[keras.KerasTensor, keras.KerasTensor] | None
    embeddings: Mapping[str, keras.KerasTensor]
    used: keras.KerasTensor
    inputs: Mapping[str, keras.KerasTensor]
    hidden: int


class Built(NamedTuple):
    """Outputs of a head.

    Attributes:
        output: The task's output.
        alone: By modality, the output that this modality alone gives; empty where there is none.
    """

    output: keras.KerasTensor
    alone: Mapping[str, keras.KerasTensor]


class RowLosses(NamedTuple):
    """Losses of a batch.

    Attributes:
        rows: float32 `[batch]`; 0 where not known.
        known: Whether training knows the record's label, bool `[batch]`.
    """

    rows: tf.Tensor
    known: tf.Tensor


class Sums(NamedTuple):
    """What one batch adds to `steps.Measured`, float32 each."""

    loss: tf.Tensor
    known: tf.Tensor
    correct: tf.Tensor
    labelled: tf.Tensor


class TaskHead(abc.ABC):
    """Everything that is particular to one task of a model.

    Attributes:
        name: Name of the task.
        task: The task's section of the spec.
        spec: The whole spec.
        classes: Names of the classes, in the order of their ids; of a generation task the pieces.
        parts: Parts of the serving output, by name, with their types.
        explained_part: The part that explanations split into shares; None where a task has none.
    """

    parts: ClassVar[Mapping[str, tf.DType]]
    explained_part: ClassVar[str | None] = None

    def __init__(self, name: str, spec: Spec, classes: Sequence[str] = ()) -> None:
        self.name, self.spec, self.classes = name, spec, tuple(classes)
        self.task: Any = spec.tasks[name]

    # --- training files

    @abc.abstractmethod
    def label_features(self) -> FeatureDescription:
        """Describes the label's columns for `tf.io.parse_example`."""

    def input_features(self) -> FeatureDescription:
        """Describes the other columns that the task reads."""
        return {}

    @abc.abstractmethod
    def labels(self, columns: Columns) -> tf.Tensor:
        """Makes labels as the loss takes them of what `label_features` parses."""

    def inputs(self, columns: Columns) -> Tensors:
        """Takes what the network reads for the task alone out of features."""
        return {}

    def texts(self, columns: Columns) -> Tensors:
        """Takes the strings out of features that evaluation needs."""
        return {}

    @abc.abstractmethod
    def count(self, labels: npt.NDArray[Any]) -> tuple[int, npt.NDArray[np.int64]]:
        """Counts records with a label, and how often each class comes, int64 `[classes]`."""

    # --- network

    def network_inputs(self) -> dict[str, keras.KerasTensor]:
        """Makes the network's inputs of `inputs`."""
        return {}

    @abc.abstractmethod
    def build(self, fused: Fused) -> Built:
        """Adds the head to the network."""

    # --- training

    def class_weights(self, counts: npt.NDArray[np.int64], labelled: int) -> Weights | None:
        """Computes weights of the classes, or None where the spec wants none."""
        return None

    @abc.abstractmethod
    def losses(
        self,
        output: tf.Tensor,
        features: Tensors,
        labels: tf.Tensor,
        model: keras.Model,
        *,
        weights: Weights | None = None,
        smoothing: float = 0.0,
        visible: tf.Tensor | None = None,
    ) -> RowLosses:
        """Computes the losses of a batch in training.

        Args:
            output: Of the head, or of one modality alone.
            features: See `batches.Batch`.
            labels: See `labels`.
            model: The network that scores.
            weights: Of the classes.
            smoothing: Share of a label's mass that is spread over all classes.
            visible: Which records have the one modality, bool `[batch]`; None for all.
        """

    @abc.abstractmethod
    def sums(
        self,
        output: tf.Tensor,
        features: Tensors,
        labels: tf.Tensor,
        model: keras.Model,
        weights: Weights | None = None,
    ) -> Sums:
        """Sums up how the network does on a batch."""

    # --- evaluation

    @abc.abstractmethod
    def predicted(
        self, output: tf.Tensor, features: Tensors, texts: Tensors, model: keras.Model
    ) -> tuple[tf.Tensor, ...]:
        """Computes what evaluation compares with labels, one row a record."""

    @abc.abstractmethod
    def gathered(self, arrays: tuple[npt.NDArray[Any], ...]) -> Any:
        """Makes what the task's metrics take of `predicted`, over all records."""

    # --- serving

    @abc.abstractmethod
    def serve(
        self,
        output: tf.Tensor,
        inputs: Tensors,
        features: Columns,
        model: keras.Model,
        names: tf.Tensor,
    ) -> Tensors:
        """Computes the serving outputs, by part.

        Args:
            output: Of the head.
            inputs: What the network takes.
            features: What the transform graph gives.
            model: The network.
            names: Of the classes, string `[classes]`.
        """

    def shown(self, output: tf.Tensor) -> tf.Tensor:
        """Computes `explained_part` of an output."""
        raise NotImplementedError(f"{self.name} has no explanations")

    def worth(self, shown: tf.Tensor, whole: tf.Tensor) -> tf.Tensor:
        """Computes what a coalition of modalities is worth, `[batch]`.

        Args:
            shown: The explained part where the coalition is seen.
            whole: The explained part where everything is seen.
        """
        raise NotImplementedError(f"{self.name} has no explanations")

    def explained_label(self, outputs: Arrays, row: int) -> str:
        """Names what the explanation of a row is about."""
        raise NotImplementedError(f"{self.name} has no explanations")

    @abc.abstractmethod
    def finite(self, outputs: Arrays) -> npt.NDArray[np.bool_]:
        """Tells which rows of the serving outputs hold finite numbers alone, bool `[rows]`."""

    @abc.abstractmethod
    def reader(self, outputs: Arrays) -> Reader:
        """Makes the function that reads one row of the serving outputs."""

    def column(self, outputs: Arrays, part: str) -> npt.NDArray[Any]:
        """Looks up a part of the serving outputs."""
        return outputs[output_name(self.name, part)]


def summed(rows: tf.Tensor, known: tf.Tensor, correct: tf.Tensor, labelled: tf.Tensor) -> Sums:
    """Adds up a batch."""
    flags = (tf.reduce_sum(tf.cast(one, tf.float32)) for one in (known, correct, labelled))
    return Sums(tf.reduce_sum(rows), *flags)
