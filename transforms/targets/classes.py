"""TensorFlow graphs of class labels: ids of one class, or of a set of classes."""

import tensorflow as tf

from triad_ml.transforms.features.analyzers import Analyzers
from triad_ml.transforms.features.ids import MISSING_LABEL


def label_vocabulary(task: str) -> str:
    """The name of the vocabulary that holds a task's classes."""
    return f"label_{task}_vocabulary"


def label_graph(
    classes: tf.SparseTensor, given: tf.Tensor, task: str, analyzers: Analyzers
) -> tf.Tensor:
    """Class ids, int64 `[batch]`: one class a record, `MISSING_LABEL` where none is given."""
    rows = tf.cast(tf.shape(given), tf.int64)
    dense = tf.scatter_nd(classes.indices[:, :1], _label_ids(classes, task, analyzers) + 1, rows)
    return tf.where(given > 0, dense, 0) - 1


def label_set_graph(
    classes: tf.SparseTensor, given: tf.Tensor, task: str, analyzers: Analyzers
) -> tf.SparseTensor:
    """Class ids, sparse int64 `[batch, classes]`: `MISSING_LABEL` alone where no set is given."""
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
