"""Pretrained text encoder as a part of the network."""

from typing import Any, TypeAlias

import keras
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

    While the network is trained, all texts of a batch are encoded at once, with dropout.
    Otherwise they are encoded in fixed shapes; see `encoders.texts.length_classes`.

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
        return ops.where(known[:, :, None], self.network(ids, training=True), 0.0)

    def compute_output_spec(self, ids: Tensor, training: bool = False) -> Tensor:
        return keras.KerasTensor((*ids.shape, self.encoder.config.width), dtype="float32")


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
