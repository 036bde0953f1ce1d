"""The tagging head: from the words of a text and what the record is about to tags of each word."""

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
"""Words from the marked one on which are all equally far."""


@keras.saving.register_keras_serializable(package="triad")
class Distances(keras.layers.Layer):
    """How far each word is from the first marked one, as ids from 0 to `2 * FARTHEST + 1`.

    Takes int64 `[batch, length]`, 1 at marked words; a marked word has the last id.
    """

    def call(self, marker: Tensor) -> Tensor:
        first = ops.argmax(marker, axis=1)[:, None]
        places = ops.arange(marker.shape[1], dtype="int64")[None]
        far = ops.clip(places - ops.cast(first, "int64"), -FARTHEST, FARTHEST) + FARTHEST
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
        sequence: Of the text tower, float32 `[batch, length, width]`.
        known: Which words are there, bool `[batch, length]`.
        joint: What the modalities together say, float32 `[batch, dim]`.
        marker: Which words are marked, int64 `[batch, length]`; None where the task has no marker.
        num_classes: Of the task's spans.
        spec: Gives `dim` and `dropout`.
        name: Of the layers.

    Returns:
        float32 `[batch, length + tags, tags]`; see `crf.unpack`.
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
    """Tells each word how far it is from what is marked, and what that is."""
    distances = Distances(name=f"{name}_distances")(marker)
    places = keras.layers.Embedding(2 * FARTHEST + 2, dim, name=f"{name}_marker")(distances)
    weights = ops.cast(marker, "float32")[:, :, None]
    summed = ops.sum(words * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0)
    about = keras.layers.Dense(dim, name=f"{name}_marked")(summed)
    return words + places + about[:, None, :]


def words_to_tag(features: dict[str, tf.Tensor], task: str) -> tf.Tensor:
    """Where a task has a word to tag, bool `[batch, length]`.

    Without the marker that a task needs there is none.

    Args:
        features: See `data.Batch`.
        task: Its name.
    """
    words = features["text_present"][:, tf.newaxis] & tf.not_equal(features["text"], PAD)
    if f"marker_{task}" in features:
        words &= tf.reduce_any(features[f"marker_{task}"] > 0, axis=1, keepdims=True)
    return words
