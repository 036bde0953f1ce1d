"""Label part of the feature graph for regression: numbers, with the training split's scale."""

from collections.abc import Mapping

import tensorflow as tf

from triad_ml.transforms.features.analyzers import Analyzers
from triad_ml.transforms.features.ids import MISSING_LABEL
from triad_ml.transforms.records.values import MODALITIES
from triad_ml.transforms.spec.tasks import RegressionTask
from triad_ml.transforms.targets.base import (
    Features,
    FeatureSpec,
    Tensors,
    TextGraph,
    WithoutText,
)

PARTS = 2
"""Size of a label: 1 and the number; both are -1 if the label is missing."""


class Numbers(WithoutText):
    """Label part of the feature graph for regression."""

    def moments(self, name: str) -> tuple[str, ...]:
        return (f"label_{name}",)

    def raw_features(self, name: str, task: RegressionTask) -> FeatureSpec:
        return {
            f"label_{name}": tf.io.VarLenFeature(tf.float32),
            f"label_{name}_given": tf.io.FixedLenFeature([], tf.int64),
        }

    def serialize(self, value: float | None, name: str, feature: Features) -> None:
        numbers = feature[f"label_{name}"].float_list.value
        numbers.extend(() if value is None else (value,))
        feature[f"label_{name}_given"].int64_list.value.append(value is not None)

    def input_graph(
        self,
        inputs: Mapping[str, tf.Tensor],
        name: str,
        task: RegressionTask,
        text: TextGraph | None,
        analyzers: Analyzers,
    ) -> Tensors:
        """Returns `scale_<task>`, float32 `[batch, 2]`: mean and deviation of the training split.

        The batch size is taken from a modality, because serving has no labels.
        """
        medium = next(inputs[modality] for modality in MODALITIES if modality in inputs)
        scale = _scale(inputs, name, analyzers)
        return {f"scale_{name}": tf.tile(scale[tf.newaxis], [tf.shape(medium)[0], 1])}

    def label_graph(
        self,
        inputs: Mapping[str, tf.Tensor],
        name: str,
        task: RegressionTask,
        text: TextGraph | None,
        analyzers: Analyzers,
    ) -> Tensors:
        label, given = inputs[f"label_{name}"], inputs[f"label_{name}_given"] > 0
        shape = tf.stack([tf.shape(given, tf.int64)[0], 1])
        value = tf.sparse.to_dense(tf.SparseTensor(label.indices, label.values, shape))[:, 0]
        return {
            f"label_{name}": tf.where(
                given[:, tf.newaxis],
                tf.stack([tf.ones_like(value), value], axis=1),
                tf.constant(MISSING_LABEL, tf.float32),
            )
        }


def _scale(inputs: Mapping[str, tf.Tensor], name: str, analyzers: Analyzers) -> tf.Tensor:
    values = inputs[f"label_{name}"].values[:, tf.newaxis]
    mean, deviation = analyzers.moments(values, f"label_{name}", relative=True)
    # A deviation of 0, if all labels are equal, is replaced by 1.
    return tf.concat([mean, tf.where(deviation > 0, deviation, 1.0)], axis=0)
