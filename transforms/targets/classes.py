"""Label part of the feature graph for classes and sets of classes."""

from collections.abc import Mapping

import tensorflow as tf

from triad_ml.transforms.features.analyzers import Analyzers
from triad_ml.transforms.features.ids import MISSING_LABEL
from triad_ml.transforms.spec.tasks import ClassificationTask
from triad_ml.transforms.targets.base import (
    Features,
    Tensors,
    TextGraph,
    WithoutText,
    write_strings,
)


class Classes(WithoutText):
    """Label part of the feature graph for classification."""

    def serialize(self, value: tuple[str, ...] | None, name: str, feature: Features) -> None:
        write_strings(value, name, feature)

    def label_graph(
        self,
        inputs: Mapping[str, tf.Tensor],
        name: str,
        task: ClassificationTask,
        text: TextGraph | None,
        analyzers: Analyzers,
    ) -> Tensors:
        label = f"label_{name}"
        graph = label_set_graph if task.multi_label else label_graph
        return {label: graph(inputs[label], inputs[f"{label}_given"], name, analyzers)}


def label_vocabulary(task: str) -> str:
    """Returns the name of the vocabulary of a task's classes."""
    return f"label_{task}_vocabulary"


def label_graph(
    classes: tf.SparseTensor, given: tf.Tensor, task: str, analyzers: Analyzers
) -> tf.Tensor:
    """Returns class ids, int64 `[batch]`, one per record; `MISSING_LABEL` without a label."""
    rows = tf.cast(tf.shape(given), tf.int64)
    dense = tf.scatter_nd(classes.indices[:, :1], _label_ids(classes, task, analyzers) + 1, rows)
    return tf.where(given > 0, dense, 0) - 1


def label_set_graph(
    classes: tf.SparseTensor, given: tf.Tensor, task: str, analyzers: Analyzers
) -> tf.SparseTensor:
    """Returns class ids, sparse int64 `[batch, classes]`; `MISSING_LABEL` alone without a label."""
    ids = tf.SparseTensor(
        classes.indices, _label_ids(classes, task, analyzers), classes.dense_shape
    )
    none = tf.where(tf.equal(given, 0))
    missing = tf.SparseTensor(
        tf.concat([none, tf.zeros_like(none)], axis=1),
        tf.fill(tf.shape(none, tf.int64)[:1], tf.constant(MISSING_LABEL, tf.int64)),
        ids.dense_shape,
    )
    both = tf.SparseTensor(
        tf.concat([ids.indices, missing.indices], axis=0),
        tf.concat([ids.values, missing.values], axis=0),
        tf.maximum(ids.dense_shape, [0, 1]),
    )
    return tf.sparse.reorder(both)


def _label_ids(classes: tf.SparseTensor, task: str, analyzers: Analyzers) -> tf.Tensor:
    return analyzers.vocabulary_ids(
        classes.values, label_vocabulary(task), top_k=None, unseen="last"
    )
