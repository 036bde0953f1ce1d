"""Tagging head: CRF potentials from the words of a text and the joint embedding."""

from typing import TypeAlias

import keras
import tensorflow as tf
from keras import ops

from triad_ml.model.tasks.tagging import crf
from triad_ml.model.tasks.tagging.bio import num_tags
from triad_ml.model.towers import word_context
from triad_ml.transforms.features.ids import PAD
from triad_ml.transforms.spec.model import ModelSpec

Tensor: TypeAlias = keras.KerasTensor

FARTHEST = 24
"""Largest distance from the marked word, in words; farther words have the same id."""


@keras.saving.register_keras_serializable(package="triad")
class Distances(keras.layers.Layer):
    """Signed distance of each word to the first marked one, as ids from 0 to `2 * FARTHEST + 1`.

    Takes int64 `[batch, length]`, 1 at marked words, and returns int64 of the same shape. Marked
    words have the last id.
    """

    def call(self, marker: Tensor) -> Tensor:
        first = ops.argmax(marker, axis=1)[:, None]
        indices = ops.arange(marker.shape[1], dtype="int64")[None]
        far = ops.clip(indices - ops.cast(first, "int64"), -FARTHEST, FARTHEST) + FARTHEST
        return ops.where(marker > 0, 2 * FARTHEST + 1, far)

    def compute_output_spec(self, marker: Tensor) -> Tensor:
        return keras.KerasTensor(marker.shape, dtype="int64")


def head(
    sequence: Tensor,
    known: Tensor,
    joint: Tensor,
    marker: Tensor | None,
    num_classes: int,
    spec: ModelSpec,
    name: str,
) -> Tensor:
    """Adds dilated convolutions over the words, and a CRF's potentials.

    Args:
        sequence: Word vectors of the text tower, float32 `[batch, length, width]`.
        known: Mask of the words, bool `[batch, length]`.
        joint: Joint embedding of the modalities, float32 `[batch, dim]`.
        marker: 1 at marked words, int64 `[batch, length]`; None if the task has no marker.
        num_classes: Number of classes of spans.
        spec: Section `model` of the spec, with `dim` and `dropout`.
        name: Name of the output layer, and prefix of the other layers' names.

    Returns:
        Packed potentials, float32 `[batch, length + tags, tags]`; see `crf.unpack`.
    """
    words = keras.layers.Dense(spec.dim, name=f"{name}_words")(sequence)
    context = keras.layers.Dense(spec.dim, name=f"{name}_context")(joint)
    words = words + context[:, None, :]
    if marker is not None:
        words = _relative(words, marker, spec.dim, name)
    words = word_context.in_context(words, known, spec, name)
    dropped = keras.layers.Dropout(spec.dropout, name=f"{name}_dropout")(words)
    tags = num_tags(num_classes)
    emissions = keras.layers.Dense(tags, dtype="float32", name=f"{name}_emissions")(dropped)
    return crf.Transitions(dtype="float32", name=name)(emissions)


def _relative(words: Tensor, marker: Tensor, dim: int, name: str) -> Tensor:
    """Adds to each word its distance from the marker, and the mean of the marked words."""
    distances = Distances(name=f"{name}_distances")(marker)
    positions = keras.layers.Embedding(2 * FARTHEST + 2, dim, name=f"{name}_marker")(distances)
    weights = ops.cast(marker, "float32")[:, :, None]
    summed = ops.sum(words * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0)
    about = keras.layers.Dense(dim, name=f"{name}_marked")(summed)
    return words + positions + about[:, None, :]


def words_to_tag(features: dict[str, tf.Tensor], task: str) -> tf.Tensor:
    """Returns the mask of the words to tag, bool `[batch, length]`.

    A record without the marker that the task needs has no words to tag.

    Args:
        features: Features of the batch; see `batches.Batch`.
        task: Name of the task.
    """
    words = features["text_present"][:, tf.newaxis] & tf.not_equal(features["text"], PAD)
    if f"marker_{task}" in features:
        words &= tf.reduce_any(features[f"marker_{task}"] > 0, axis=1, keepdims=True)
    return words
