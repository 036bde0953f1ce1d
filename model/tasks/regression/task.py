"""Head of regression tasks: one number per record."""

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import ops

from triad_ml.model.tasks.base import (
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
from triad_ml.model.tasks.classification.head import linear
from triad_ml.transforms.records.values import CanonicalRecord, Explanation, Number
from triad_ml.transforms.targets.numbers import PARTS

NEAR = 0.5
"""Largest error of a number that counts as right, in standard deviations of the training labels."""

FARTHEST = 4.0
"""Bound of the z-score that other tasks read in task fusion."""


class Regression(TaskHead):
    """Head of a regression task; see `TaskHead`.

    Its output is float32 `[batch, 3]`: the predicted z-score, and the mean and standard deviation
    of the training labels. The latter two are an input of the network, so that only the transform
    graph stores them.
    """

    parts: ClassVar[Mapping[str, tf.DType]] = {"value": tf.float32}
    explained_part = "value"

    @property
    def _scale(self) -> str:
        return f"scale_{self.name}"

    def label_features(self) -> FeatureDescription:
        return {f"label_{self.name}": tf.io.FixedLenFeature([PARTS], tf.float32)}

    def input_features(self) -> FeatureDescription:
        return {self._scale: tf.io.FixedLenFeature([2], tf.float32)}

    def labels(self, columns: Columns) -> tf.Tensor:
        return columns[f"label_{self.name}"]

    def inputs(self, columns: Columns) -> Tensors:
        return {self._scale: tf.ensure_shape(columns[self._scale], [None, 2])}

    def count(self, labels: npt.NDArray[Any]) -> tuple[int, npt.NDArray[np.int64]]:
        return int((labels[:, 0] >= 0).sum()), np.zeros(0, np.int64)

    def network_inputs(self) -> dict[str, keras.KerasTensor]:
        return {self._scale: keras.Input((2,), dtype="float32", name=self._scale)}

    def build(self, fused: Fused) -> Built:
        scale = fused.inputs[self._scale]
        built = linear(fused, 1, self.name, self.spec)
        alone = {name: ops.concatenate([own, scale], axis=1) for name, own in built.alone.items()}
        return Built(ops.concatenate([built.output, scale], axis=1), alone)

    def represented(
        self, output: keras.KerasTensor, words: keras.KerasTensor | None
    ) -> keras.KerasTensor:
        """Returns the predicted z-score, within `FARTHEST`."""
        return ops.clip(output[:, :1], -FARTHEST, FARTHEST)

    def moved(self, output: keras.KerasTensor, shared: keras.KerasTensor) -> keras.KerasTensor:
        score = output[:, :1] + self.projected(shared, 1)
        return ops.concatenate([score, output[:, 1:]], axis=1)

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
        known = labels[:, 0] >= 0
        if visible is not None:
            known &= visible
        return RowLosses(_huber(_errors(output, labels, known)), known)

    def sums(
        self,
        output: tf.Tensor,
        features: Tensors,
        labels: tf.Tensor,
        model: keras.Model,
        weights: Weights | None = None,
    ) -> Sums:
        """Counts a number as correct if its error is at most `NEAR` standard deviations."""
        known = labels[:, 0] >= 0
        errors = _errors(output, labels, known)
        return summed(_huber(errors), known, known & (tf.abs(errors) <= NEAR), known)

    def predicted(
        self, output: tf.Tensor, features: Tensors, texts: Tensors, model: keras.Model
    ) -> tuple[tf.Tensor, ...]:
        return (self.shown(output),)

    def gathered(self, arrays: tuple[npt.NDArray[Any], ...]) -> npt.NDArray[np.float32]:
        return arrays[0]

    def serve(
        self,
        output: tf.Tensor,
        inputs: Tensors,
        features: Columns,
        model: keras.Model,
        names: tf.Tensor,
    ) -> Tensors:
        return {"value": self.shown(output)}

    def shown(self, output: tf.Tensor) -> tf.Tensor:
        return output[:, 0] * output[:, 2] + output[:, 1]

    def worth(self, shown: tf.Tensor, whole: tf.Tensor) -> tf.Tensor:
        return shown

    def explained_label(self, outputs: Arrays, row: int) -> str:
        return ""

    def finite(self, outputs: Arrays) -> npt.NDArray[np.bool_]:
        return np.asarray(np.isfinite(self.column(outputs, "value")))

    def reader(self, outputs: Arrays) -> Reader:
        values = self.column(outputs, "value")

        def read(row: int, record: CanonicalRecord, explanation: Explanation | None) -> Number:
            return Number(float(values[row]), explanation)

        return read


def _errors(output: tf.Tensor, labels: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
    """Computes errors in standard deviations; 0, with a gradient of exactly 0, without a label."""
    score, mean, deviation = (tf.where(known, output[:, part], 1.0) for part in range(3))
    truth = (tf.where(known, labels[:, 1], 1.0) - mean) / deviation
    return tf.where(known, score - truth, 0.0)


def _huber(errors: tf.Tensor) -> tf.Tensor:
    size = tf.abs(errors)
    return tf.where(size <= 1.0, 0.5 * tf.square(errors), size - 0.5)
