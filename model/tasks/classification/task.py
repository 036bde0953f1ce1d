"""Head of classification tasks: one class per record, or a set of classes."""

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

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
from triad_ml.model.tasks.classification import losses, temperature, thresholds
from triad_ml.model.tasks.classification.head import linear, probabilities
from triad_ml.transforms.features.ids import MISSING_LABEL
from triad_ml.transforms.records.values import CanonicalRecord, Explanation, Prediction

FOCAL_GAMMA = 2.0
"""Exponent of the focal loss if the spec sets none."""

EFFECTIVE_BETA = 0.99
"""Weight of each further record of a class in class-balanced weights if the spec sets none."""


class Classification(TaskHead):
    """Head of a classification task; see `TaskHead`."""

    parts: ClassVar[Mapping[str, tf.DType]] = {
        "label": tf.string,
        "score": tf.float32,
        "distribution": tf.float32,
    }
    explained_part = "distribution"
    calibrates = True

    def label_features(self) -> FeatureDescription:
        if self.task.multi_label:
            return {f"label_{self.name}": tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64)}
        return {f"label_{self.name}": tf.io.FixedLenFeature([], tf.int64)}

    def labels(self, columns: Columns) -> tf.Tensor:
        column = columns[f"label_{self.name}"]
        return _multi_hot(column, len(self.classes)) if self.task.multi_label else column

    def count(self, labels: npt.NDArray[Any]) -> tuple[int, npt.NDArray[np.int64]]:
        number = len(self.classes)
        if self.task.multi_label:
            known = labels[labels[:, 0] >= 0] if labels.size else labels
            return len(known), known[:, :-1].sum(axis=0).astype(np.int64)
        known = labels[(labels >= 0) & (labels < number)]
        return int((labels >= 0).sum()), np.bincount(known, minlength=number)

    def sampled(self, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if not self.task.multi_label:
            return labels
        return np.asarray(known_classes(labels) > 0)

    def build(self, fused: Fused) -> Built:
        return linear(fused, len(self.classes), self.name, self.spec)

    def represented(
        self, output: keras.KerasTensor, words: keras.KerasTensor | None
    ) -> keras.KerasTensor:
        """Returns the probabilities of the classes."""
        return probabilities(output, self.task.multi_label)

    def moved(self, output: keras.KerasTensor, shared: keras.KerasTensor) -> keras.KerasTensor:
        return output + self.projected(shared, len(self.classes))

    def class_weights(self, counts: npt.NDArray[np.int64], labelled: int) -> Weights | None:
        sets = self.task.multi_label
        if self.task.imbalance == "class_weights":
            if sets:
                return losses.balanced_set_weights(counts, labelled)
            return losses.balanced_weights(counts)
        if self.task.imbalance == "class_balanced":
            beta = EFFECTIVE_BETA if self.task.beta is None else float(self.task.beta)
            if sets:
                return losses.effective_set_weights(counts, labelled, beta)
            return losses.effective_weights(counts, beta)
        return None

    def class_offsets(self, counts: npt.NDArray[np.int64], labelled: int) -> Weights | None:
        if self.task.imbalance != "logit_adjustment":
            return None
        if self.task.multi_label:
            return losses.set_log_priors(counts, labelled)
        return losses.log_priors(counts)

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
        sets = self.task.multi_label
        known = known_classes(labels) if sets else labels
        if visible is not None:
            mask = visible[:, tf.newaxis] if sets else visible
            known = tf.where(mask, known, tf.cast(MISSING_LABEL, known.dtype))
        crossentropy = losses.binary_crossentropy if sets else losses.sparse_crossentropy
        return RowLosses(*crossentropy(known, output, weights, smoothing, self._gamma))

    def sums(
        self,
        output: tf.Tensor,
        features: Tensors,
        labels: tf.Tensor,
        model: keras.Model,
        weights: Weights | None = None,
    ) -> Sums:
        if self.task.multi_label:
            truth = known_classes(labels)
            rows, known = losses.binary_crossentropy(truth, output, weights, gamma=self._gamma)
            right = tf.reduce_all(tf.equal(truth > 0.5, output >= 0), axis=1) & (labels[:, -1] < 1)
            labelled = known
        else:
            rows, known = losses.sparse_crossentropy(labels, output, weights, gamma=self._gamma)
            right = tf.equal(labels, tf.argmax(output, axis=1))
            labelled = labels >= 0
        return summed(rows, known, right & labelled, labelled)

    @property
    def _gamma(self) -> float:
        """Exponent of the focal loss; 0 is plain cross-entropy."""
        if self.task.imbalance != "focal":
            return 0.0
        return FOCAL_GAMMA if self.task.gamma is None else float(self.task.gamma)

    def predicted(
        self, output: tf.Tensor, features: Tensors, texts: Tensors, model: keras.Model
    ) -> tuple[tf.Tensor, ...]:
        return (self.shown(output),)

    def gathered(self, arrays: tuple[npt.NDArray[Any], ...]) -> npt.NDArray[np.float32]:
        return arrays[0]

    def best_thresholds(self, labels: npt.NDArray[Any], said: Any) -> tuple[float, ...] | None:
        if self.task.thresholds is None:
            return None
        return thresholds.best_by_f1(labels, said)

    def best_temperature(self, labels: npt.NDArray[Any], said: Any) -> float:
        return temperature.best(labels, said, multi_label=self.task.multi_label)

    def serve(
        self,
        output: tf.Tensor,
        inputs: Tensors,
        features: Columns,
        model: keras.Model,
        names: tf.Tensor,
    ) -> Tensors:
        """Computes label, score and distribution.

        The label of a set has a string for each class, which is empty if the class is not in it.
        """
        distribution = self.shown(output)
        if self.task.multi_label:
            lowest = tf.constant(self.thresholds or thresholds.DEFAULT, tf.float32)
            label = tf.where(distribution >= lowest, names[tf.newaxis, :], "")
        else:
            label = tf.gather(names, tf.argmax(distribution, axis=1))
        score = tf.reduce_max(distribution, axis=1)
        return {"label": label, "score": score, "distribution": distribution}

    def shown(self, output: tf.Tensor) -> tf.Tensor:
        return probabilities(output, self.task.multi_label)

    def worth(self, shown: tf.Tensor, whole: tf.Tensor) -> tf.Tensor:
        return tf.gather(shown, tf.argmax(whole, axis=1), batch_dims=1)

    def explained_label(self, outputs: Arrays, row: int) -> str:
        return self.classes[int(self.column(outputs, "distribution")[row].argmax())]

    def finite(self, outputs: Arrays) -> npt.NDArray[np.bool_]:
        return np.asarray(np.isfinite(self.column(outputs, "distribution")).all(axis=1))

    def reader(self, outputs: Arrays) -> Reader:
        labels, scores, shares = (self.column(outputs, part) for part in self.parts)
        sets = self.task.multi_label

        def read(row: int, record: CanonicalRecord, explanation: Explanation | None) -> Prediction:
            names = labels[row]
            label = tuple(name.decode() for name in names if name) if sets else names.decode()
            return Prediction(label, float(scores[row]), shares[row], explanation)

        return read


def known_classes(sets: Any) -> Any:
    """Drops the last column of multi-label labels, which marks classes unseen in training."""
    return sets[:, :-1]


def _multi_hot(ids: tf.RaggedTensor, num_classes: int) -> tf.Tensor:
    """Encodes sets of class ids as float32 `[batch, classes + 1]`; see `batches.Batch.labels`."""
    given = ids.flat_values >= 0
    indices = tf.stack([ids.value_rowids(), tf.minimum(ids.flat_values, num_classes)], axis=1)
    indices = tf.boolean_mask(indices, given)
    width = num_classes + 1
    shape = tf.stack([ids.nrows(), tf.constant(width, tf.int64)])
    ones = tf.ones(tf.shape(indices)[:1], tf.float32)
    hot = tf.ensure_shape(tf.minimum(tf.scatter_nd(indices, ones, shape), 1.0), [None, width])
    missing = tf.reduce_any(tf.equal(ids, MISSING_LABEL), axis=1)
    return tf.where(missing[:, tf.newaxis], tf.cast(MISSING_LABEL, tf.float32), hot)
