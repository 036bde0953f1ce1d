"""Pretrained text encoder as a part of the network."""

from typing import Any, TypeAlias

import keras
import tensorflow as tf
from keras import ops

from triad_ml.transforms.encoders.texts import encoder as text
from triad_ml.transforms.encoders.texts import transformer
from triad_ml.transforms.encoders.texts.encoder import TextEncoder
from triad_ml.transforms.spec.model import TextEncoderSpec

Tensor: TypeAlias = keras.KerasTensor


@keras.saving.register_keras_serializable(package="triad")
class Pieces(keras.layers.Layer):
    """Layer that encodes the pieces of texts.

    Takes ids of pieces, int32 `[batch, pieces]`, with `PADDING` behind the end of a text, and
    returns a vector for each piece, float32 `[batch, pieces, width]`, zeros behind the end.

    While the network is trained, all texts of a batch are encoded at once, with dropout, as long as
    the longest of them. Otherwise they are encoded in fixed shapes; see
    `encoders.texts.length_classes`.

    Args:
        encoder: The pretrained encoder.
    """

    def __init__(self, encoder: TextEncoder, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.encoder = encoder
        self.network = encoder.network  # Keras finds the variables of an attribute

    def call(self, ids: Tensor, training: bool = False) -> Tensor:
        if not training:
            return self.encoder.states(ids)
        known = ops.not_equal(ids, transformer.PADDING)
        longest = ops.maximum(ops.max(ops.sum(ops.cast(known, "int32"), axis=1)), 1)
        states = self.network(ops.cast(ids[:, :longest], "int32"), training=True)
        states = tf.pad(states, [[0, 0], [0, ids.shape[1] - longest], [0, 0]])
        states = tf.ensure_shape(states, [None, ids.shape[1], self.encoder.config.width])
        return ops.where(known[:, :, None], states, 0.0)

    def compute_output_spec(self, ids: Tensor, training: bool = False) -> Tensor:
        return keras.KerasTensor((*ids.shape, self.encoder.config.width), dtype="float32")


@keras.saving.register_keras_serializable(package="triad")
class Pooled(keras.layers.Layer):
    """Layer that makes one vector of those of a text's pieces, as the checkpoint says.

    Takes vectors of pieces, float32 `[batch, pieces, width]`, and the mask of the pieces, bool
    `[batch, pieces]`; returns float32 `[batch, pooled]`.

    Args:
        encoder: The pretrained encoder.
    """

    def __init__(self, encoder: TextEncoder, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.encoder = encoder

    def call(self, states: Tensor, known: Tensor) -> Tensor:
        return self.encoder.pool(states, ops.where(known, 0, transformer.PADDING))

    def compute_output_spec(self, states: Tensor, known: Tensor) -> Tensor:
        return keras.KerasTensor((states.shape[0], self.encoder.config.pooled), dtype="float32")


@keras.saving.register_keras_serializable(package="triad")
class OfPresent(keras.layers.Layer):
    """Layer that takes the pieces away from rows without a text.

    Takes ids of pieces, `[batch, pieces]`, and the mask of the rows that have a text, bool
    `[batch]`; returns ids of the same shape.
    """

    def call(self, ids: Tensor, present: Tensor) -> Tensor:
        return ops.where(present[:, None], ids, transformer.PADDING)

    def compute_output_spec(self, ids: Tensor, present: Tensor) -> Tensor:
        return keras.KerasTensor(ids.shape, dtype=ids.dtype)


@keras.saving.register_keras_serializable(package="triad")
class Placed(keras.layers.Layer):
    """Layer that finds the vector of each word's first piece.

    Takes vectors of pieces, float32 `[batch, pieces, width]`, and the place of each word's first
    piece, int64 `[batch, length]`, -1 for none; returns float32 `[batch, length, width]`, zeros
    for words without a piece.
    """

    def call(self, states: Tensor, places: Tensor) -> Tensor:
        # A product, because the gradient of a look-up adds in no fixed order.
        chosen = tf.one_hot(places, states.shape[1], dtype=states.dtype)
        return ops.matmul(chosen, states)

    def compute_output_spec(self, states: Tensor, places: Tensor) -> Tensor:
        return keras.KerasTensor((*places.shape, states.shape[2]), dtype="float32")


def encoder_layer(model: TextEncoderSpec) -> Pieces | None:
    """Loads the pretrained text encoder as a layer of the network; see `trainable_text_encoder`."""
    encoder = trainable_text_encoder(model)
    return None if encoder is None else Pieces(encoder, name="text_encoded")


def trainable_text_encoder(model: TextEncoderSpec) -> TextEncoder | None:
    """Loads the pretrained text encoder that becomes part of the network.

    As many of its first layers as `text_freeze` says are not trained, nor the vectors of its
    vocabulary. Returns None if the spec has no text encoder, or if preprocessing runs it.

    Raises:
        OptionsError, StorageError: See `encoders.texts.encoder.load`.
    """
    if model.text_encoder is None or model.encodes_texts_first:
        return None
    encoder = text.load(model)
    encoder.freeze(int(model.text_freeze or 0))
    return encoder
