"""The labels' part of the training files, and how they become what a loss takes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import tensorflow as tf

from triad_ml.transforms.features.ids import MISSING_LABEL
from triad_ml.transforms.targets import texts

if TYPE_CHECKING:
    from triad_ml.model.layout import Layout


def label_description(
    layout: "Layout",
) -> dict[str, tf.io.FixedLenFeature | tf.io.RaggedFeature]:
    """The labels' part of `data.feature_description`."""
    text = layout.spec.modalities.text
    features: dict[str, tf.io.FixedLenFeature | tf.io.RaggedFeature] = {}
    for name, task in layout.spec.tasks.items():
        if task.multi_label:
            feature = tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64)
        elif task.kind == "generation":
            feature = tf.io.FixedLenFeature([task.length], tf.int64)
        else:
            words = [text.length] if text is not None and task.kind == "tagging" else []
            feature = tf.io.FixedLenFeature(words, tf.int64)
        features[f"label_{name}"] = feature
    return features


def labels_of(columns: Mapping[str, tf.Tensor], layout: "Layout") -> dict[str, tf.Tensor]:
    """See `data.Batch.labels`; `columns` are what `label_description` parses."""
    labels = {}
    for name, task in layout.spec.tasks.items():
        column = columns[f"label_{name}"]
        num_classes = len(layout.classes[name])
        if task.kind == "generation":
            column = numbered(column, name, layout)
        labels[name] = _multi_hot(column, num_classes) if task.multi_label else column
    return labels


def numbered(units: tf.Tensor, task: str, layout: "Layout") -> tf.Tensor:
    """Units of `target_graphs` numbered as in `decoder.Decoder`: no gap behind the pieces."""
    copies = texts.copies(layout.spec.tasks[task])
    pieces = texts.FIRST_PIECE + len(layout.classes[task])
    return tf.where(units >= copies, units - copies + pieces, units)


def known_classes(sets: tf.Tensor) -> tf.Tensor:
    """The columns of a multi-label task's labels that its logits have too."""
    return sets[:, :-1]


def _multi_hot(ids: tf.RaggedTensor, num_classes: int) -> tf.Tensor:
    """The classes of each record; in one column more whether it has any that are unseen."""
    there = ids.flat_values >= 0
    places = tf.stack([ids.value_rowids(), tf.minimum(ids.flat_values, num_classes)], axis=1)
    places = tf.boolean_mask(places, there)
    width = num_classes + 1
    shape = tf.stack([ids.nrows(), tf.constant(width, tf.int64)])
    ones = tf.ones(tf.shape(places)[:1], tf.float32)
    hot = tf.ensure_shape(tf.minimum(tf.scatter_nd(places, ones, shape), 1.0), [None, width])
    missing = tf.reduce_any(tf.equal(ids, MISSING_LABEL), axis=1)
    return tf.where(missing[:, tf.newaxis], tf.cast(MISSING_LABEL, tf.float32), hot)
