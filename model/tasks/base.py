"""Interface of a task's head: its labels, layers, losses, predictions and serving outputs."""

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from triad_ml.transforms.records.values import Answer, CanonicalRecord, Explanation
from triad_ml.transforms.spec.spec import Spec

Tensors = dict[str, tf.Tensor]
Columns: TypeAlias = Mapping[str, tf.Tensor]
Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
Weights: TypeAlias = npt.NDArray[np.float32]
FeatureDescription = dict[str, tf.io.FixedLenFeature | tf.io.RaggedFeature]
Reader: TypeAlias = Callable[[int, CanonicalRecord, Explanation | None], Answer]
"""Function from a row of the serving outputs, its record and its explanation to the prediction."""

SURFACES = "text_surface"
"""Name of the feature with the tokens as strings, spelled as in the text."""


def output_name(task: str, part: str) -> str:
    """Returns the name of a serving output, such as `<task>/label`; see `TaskHead.parts`.

    The signature `explain` adds `<task>/baseline` and `<task>/shares`; see `shapley.Explainer`.
    """
    return f"{task}/{part}"


class Fused(NamedTuple):
    """Tensors of the network that heads read.

    Attributes:
        joint: Joint embedding, float32 `[batch, dim]`.
        words: Vectors of the text tower's words, float32 `[batch, length, width]`, and their mask,
            bool `[batch, length]`, True at words; None if the spec has no texts.
        embeddings: By modality, the embedding of its tower, float32 `[batch, dim]`.
        used: Mask of the modalities, bool `[batch, modalities]`, True if present and not hidden.
        inputs: Inputs of the network, by name.
        hidden: Number of units in the hidden layer of heads on the joint embedding; 0 for no such
            layer.
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
        output: Output of the task.
        alone: By modality, the output of the auxiliary head on this modality alone; empty if the
            task has no auxiliary heads.
    """

    output: keras.KerasTensor
    alone: Mapping[str, keras.KerasTensor]


class RowLosses(NamedTuple):
    """Losses of a batch.

    Attributes:
        rows: Losses of the records, float32 `[batch]`; 0 if not known.
        known: True if the training knows the record's label, bool `[batch]`.
    """

    rows: tf.Tensor
    known: tf.Tensor


class Sums(NamedTuple):
    """Sums over one batch, a float32 scalar each; see `steps.Measured`."""

    loss: tf.Tensor
    known: tf.Tensor
    correct: tf.Tensor
    labelled: tf.Tensor


class TaskHead(abc.ABC):
    """Head of one task: everything in the model that depends on the kind of the task.

    Attributes:
        name: Name of the task.
        task: Section of the spec for the task.
        spec: The whole spec.
        classes: Names of the classes, in the order of their ids; the subwords of a generation task.
        parts: Parts of the serving output: dtype by name.
        thresholds: Lowest probability of each class in a predicted set; empty if they are all 0.5.
        explained_part: Part of the serving output that explanations split into shares; None if the
            task has no explanations.
        calibrates: True if the output are logits that a temperature may scale; see
            `classification.temperature`.
    """

    parts: ClassVar[Mapping[str, tf.DType]]
    explained_part: ClassVar[str | None] = None
    calibrates: ClassVar[bool] = False

    def __init__(
        self,
        name: str,
        spec: Spec,
        classes: Sequence[str] = (),
        thresholds: Sequence[float] = (),
    ) -> None:
        self.name, self.spec, self.classes = name, spec, tuple(classes)
        self.thresholds = tuple(thresholds)
        self.task: Any = spec.tasks[name]

    # --- training files

    @abc.abstractmethod
    def label_features(self) -> FeatureDescription:
        """Describes the columns of the label for `tf.io.parse_example`."""

    def input_features(self) -> FeatureDescription:
        """Describes the other columns that the task reads, for `tf.io.parse_example`."""
        return {}

    @abc.abstractmethod
    def labels(self, columns: Columns) -> tf.Tensor:
        """Converts the parsed columns of `label_features` to labels for the loss."""

    def inputs(self, columns: Columns) -> Tensors:
        """Selects the network's inputs that only this task needs."""
        return {}

    def texts(self, columns: Columns) -> Tensors:
        """Selects the string features that evaluation needs."""
        return {}

    @abc.abstractmethod
    def count(self, labels: npt.NDArray[Any]) -> tuple[int, npt.NDArray[np.int64]]:
        """Counts the records with a label, and the occurrences of each class, int64 `[classes]`."""

    def sampled(self, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Converts labels to the column that balanced sampling reads.

        Returns:
            Class ids, int64 `[records]`, negative if there is no label; or, if a record may have
            several classes, the classes of each record, bool `[records, classes]`.
        """
        raise NotImplementedError(f"{self.name} has no classes to sample by")

    # --- network

    def network_inputs(self) -> dict[str, keras.KerasTensor]:
        """Creates the Keras inputs for `inputs`."""
        return {}

    @abc.abstractmethod
    def build(self, fused: Fused) -> Built:
        """Adds the head to the network."""

    @abc.abstractmethod
    def represented(
        self, output: keras.KerasTensor, words: keras.KerasTensor | None
    ) -> keras.KerasTensor:
        """Builds the task's own representation for `task_fusion`, float32 `[batch, width]`.

        Args:
            output: Output of the head.
            words: Mask of the words that the model may use, bool `[batch, length]`; None if no
                head reads words.
        """

    @abc.abstractmethod
    def moved(self, output: keras.KerasTensor, shared: keras.KerasTensor) -> keras.KerasTensor:
        """Adds `projected` to the output of the head.

        Args:
            output: Output of the head.
            shared: Representation of all tasks for this one, float32 `[batch, width]`.
        """

    def projected(self, shared: keras.KerasTensor, size: int) -> keras.KerasTensor:
        """Builds a projection that is zero at first, float32 `[batch, size]`."""
        layer = keras.layers.Dense(
            size, kernel_initializer="zeros", dtype="float32", name=f"head_{self.name}_shared"
        )
        return layer(shared)

    # --- training

    def class_weights(self, counts: npt.NDArray[np.int64], labelled: int) -> Weights | None:
        """Computes the weights of the classes; None if the spec does not ask for any."""
        return None

    def class_offsets(self, counts: npt.NDArray[np.int64], labelled: int) -> Weights | None:
        """Computes numbers that training adds to the output; None if the spec asks for none."""
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
            output: Output of the head, or of the auxiliary head on one modality.
            features: Features of the batch; see `batches.Batch`.
            labels: Labels of the batch; see `labels`.
            model: Scoring network.
            weights: Weights of the classes; see `class_weights`.
            smoothing: Share of a label's probability mass that is spread over all classes.
            visible: Mask of the records that have the modality of an auxiliary head, bool
                `[batch]`; None for all records.
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
        """Sums up losses and correct predictions over a batch."""

    # --- evaluation

    @abc.abstractmethod
    def predicted(
        self, output: tf.Tensor, features: Tensors, texts: Tensors, model: keras.Model
    ) -> tuple[tf.Tensor, ...]:
        """Computes the predictions that evaluation compares with labels, one row per record."""

    @abc.abstractmethod
    def gathered(self, arrays: tuple[npt.NDArray[Any], ...]) -> Any:
        """Converts the results of `predicted` for all records to the input of the metrics."""

    def best_thresholds(self, labels: npt.NDArray[Any], said: Any) -> tuple[float, ...] | None:
        """Chooses `thresholds` by predictions of the eval split; None if the spec asks for none."""
        return None

    def best_temperature(self, labels: npt.NDArray[Any], said: Any) -> float:
        """Fits the temperature of a head that `calibrates` to predictions of the eval split."""
        raise NotImplementedError(f"{self.name} has no temperature")

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
            output: Output of the head.
            inputs: Inputs of the network.
            features: Outputs of the transform graph.
            model: Scoring network.
            names: Names of the classes, string `[classes]`.
        """

    def shown(self, output: tf.Tensor) -> tf.Tensor:
        """Computes the `explained_part` of the head's output."""
        raise NotImplementedError(f"{self.name} has no explanations")

    def worth(self, shown: tf.Tensor, whole: tf.Tensor) -> tf.Tensor:
        """Computes the value of a coalition of modalities, `[batch]`.

        Args:
            shown: Explained part with only the modalities of the coalition visible.
            whole: Explained part with all modalities visible.
        """
        raise NotImplementedError(f"{self.name} has no explanations")

    def explained_label(self, outputs: Arrays, row: int) -> str:
        """Returns the label that the explanation of a row is about."""
        raise NotImplementedError(f"{self.name} has no explanations")

    @abc.abstractmethod
    def finite(self, outputs: Arrays) -> npt.NDArray[np.bool_]:
        """Returns the mask of the serving outputs' rows without NaN or infinity, bool `[rows]`."""

    @abc.abstractmethod
    def reader(self, outputs: Arrays) -> Reader:
        """Returns the function that reads one row of the serving outputs."""

    def column(self, outputs: Arrays, part: str) -> npt.NDArray[Any]:
        """Returns a part of the serving outputs."""
        return outputs[output_name(self.name, part)]


def summed(rows: tf.Tensor, known: tf.Tensor, correct: tf.Tensor, labelled: tf.Tensor) -> Sums:
    """Sums up a batch from its row losses and its masks."""
    counts = (tf.reduce_sum(tf.cast(mask, tf.float32)) for mask in (known, correct, labelled))
    return Sums(tf.reduce_sum(rows), *counts)
