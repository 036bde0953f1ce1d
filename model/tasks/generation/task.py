"""Head of generation tasks: one generated text per record."""

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import ops

from triad_ml.model.tasks.base import (
    SURFACES,
    Arrays,
    Built,
    Columns,
    FeatureDescription,
    Fused,
    Reader,
    RowLosses,
    Sums,
    TaskHead,
    Tensors,
    Weights,
    summed,
)
from triad_ml.model.tasks.generation import head
from triad_ml.model.tasks.generation.metrics import Written
from triad_ml.model.towers.layers import MaskedPooling
from triad_ml.transforms.records.values import Text
from triad_ml.transforms.targets import texts


class Generation(TaskHead):
    """Head of a generation task; see `TaskHead`."""

    parts: ClassVar[Mapping[str, tf.DType]] = {"text": tf.string, "score": tf.float32}

    @property
    def _length(self) -> int | None:
        """Number of words of the text feature; None if the spec has no texts."""
        text = self.spec.modalities.text
        return None if text is None else text.length

    @property
    def _units(self) -> str:
        return f"units_{self.name}"

    @property
    def _text(self) -> str:
        return f"label_{self.name}.{texts.TEXT}"

    def label_features(self) -> FeatureDescription:
        return {f"label_{self.name}": tf.io.FixedLenFeature([self.task.length], tf.int64)}

    def input_features(self) -> FeatureDescription:
        features: FeatureDescription = {self._text: tf.io.FixedLenFeature([], tf.string)}
        if self._length is not None:
            features[SURFACES] = tf.io.FixedLenFeature([self._length], tf.string)
            features[self._units] = tf.io.FixedLenFeature([2 * self._length], tf.int64)
        return features

    def labels(self, columns: Columns) -> tf.Tensor:
        return self._numbered(columns[f"label_{self.name}"])

    def inputs(self, columns: Columns) -> Tensors:
        if self._length is None:
            return {}
        units = tf.ensure_shape(columns[self._units], [None, 2 * self._length])
        return {self._units: self._numbered(units)}

    def texts(self, columns: Columns) -> Tensors:
        targets = {self.name: columns[self._text]}
        return targets if self._length is None else {**targets, SURFACES: columns[SURFACES]}

    def count(self, labels: npt.NDArray[Any]) -> tuple[int, npt.NDArray[np.int64]]:
        return int((labels >= 0).any(axis=1).sum()), np.zeros(len(self.classes), np.int64)

    def _numbered(self, units: tf.Tensor) -> tf.Tensor:
        """Renumbers units of `targets.texts` as in `Decoder`: without a gap after the subwords."""
        copies = texts.copies(self.task)
        pieces = texts.FIRST_PIECE + len(self.classes)
        return tf.where(units >= copies, units - copies + pieces, units)

    def network_inputs(self) -> dict[str, keras.KerasTensor]:
        if self._length is None:
            return {}
        return {self._units: keras.Input((2 * self._length,), dtype="int64", name=self._units)}

    def build(self, fused: Fused) -> Built:
        name, spec = head.head_name(self.name), self.spec.model
        return Built(head.head(fused.words, fused.joint, self.task, self.classes, spec, name), {})

    def represented(
        self, output: keras.KerasTensor, words: keras.KerasTensor | None
    ) -> keras.KerasTensor:
        """Returns the first state of the decoder's memory, and mean and maximum of the others."""
        first = output[:, 0]
        if words is None:
            return first
        pooled = MaskedPooling(name=f"{head.head_name(self.name)}_pooled")(output[:, 1:], words)
        return ops.concatenate([first, pooled], axis=-1)

    def moved(self, output: keras.KerasTensor, shared: keras.KerasTensor) -> keras.KerasTensor:
        """Adds to the first state of the memory, which holds the joint embedding."""
        first = output[:, :1] + self.projected(shared, output.shape[-1])[:, None, :]
        return ops.concatenate([first, output[:, 1:]], axis=1)

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
        losses = self._losses(output, features, labels, model, smoothing, training=True)
        return RowLosses(losses.rows, losses.known)

    def sums(
        self,
        output: tf.Tensor,
        features: Tensors,
        labels: tf.Tensor,
        model: keras.Model,
        weights: Weights | None = None,
    ) -> Sums:
        """Counts a text as correct if each unit is the likeliest after the true ones before it."""
        losses = self._losses(output, features, labels, model, 0.0, training=False)
        return summed(losses.rows, losses.known, losses.right, losses.known)

    def _losses(
        self,
        output: tf.Tensor,
        features: Tensors,
        labels: tf.Tensor,
        model: keras.Model,
        smoothing: float,
        training: bool,
    ) -> head.Losses:
        memory = head.memory_of(output, features, self.name)
        labels = head.without_padding(labels)
        decoder = head.decoder_of(model, self.name)
        logits = decoder.logits(tf.maximum(labels, 0), memory, training=training)
        return head.losses(labels, logits, memory, smoothing)

    def predicted(
        self, output: tf.Tensor, features: Tensors, texts: Tensors, model: keras.Model
    ) -> tuple[tf.Tensor, ...]:
        decoder = head.decoder_of(model, self.name)
        return head.write(decoder, output, features, texts.get(SURFACES))

    def gathered(self, arrays: tuple[npt.NDArray[Any], ...]) -> Written:
        return Written(*arrays)

    def serve(
        self,
        output: tf.Tensor,
        inputs: Tensors,
        features: Columns,
        model: keras.Model,
        names: tf.Tensor,
    ) -> Tensors:
        decoder = head.decoder_of(model, self.name)
        written, scores = head.write(decoder, output, inputs, features.get(SURFACES))
        return {"text": written, "score": scores}

    def finite(self, outputs: Arrays) -> npt.NDArray[np.bool_]:
        return np.asarray(np.isfinite(self.column(outputs, "score")))

    def reader(self, outputs: Arrays) -> Reader:
        written, scores = self.column(outputs, "text"), self.column(outputs, "score")
        return lambda row, record, _: Text(written[row].decode(), float(scores[row]))
