"""Towers of images and audio on the vectors of a pretrained encoder."""

from typing import Any, TypeAlias

import keras

from triad_ml.model.towers import layers
from triad_ml.transforms.encoders import audio, image
from triad_ml.transforms.spec.model import ModelSpec
from triad_ml.transforms.spec.spec import Spec

Tensor: TypeAlias = keras.KerasTensor


@keras.saving.register_keras_serializable(package="triad")
class Encoder(keras.layers.Layer):
    """Pretrained network that always runs in inference mode, even while the model is trained.

    Its normalization keeps its pretrained statistics, and its dropout is off, but its weights have
    gradients. Takes and returns the same tensors as the network: an image or a spectrogram to
    float32 `[batch, width]`.

    Args:
        network: The pretrained network.
    """

    def __init__(self, network: keras.Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.network = network

    def call(self, values: Tensor) -> Tensor:
        return self.network(values, training=False)

    def compute_output_spec(self, values: Tensor) -> Tensor:
        return keras.KerasTensor((values.shape[0], self.network.output_shape[-1]), dtype="float32")


def trainable_encoder(spec: Spec) -> keras.Model | None:
    """Loads the pretrained image encoder that becomes part of the network.

    Returns None if the spec has none, or if preprocessing runs it.

    Raises:
        OptionsError, StorageError: If its weights cannot be used; see `encoders.image.load`.
    """
    if spec.modalities.image is None or not spec.model.pretrained or spec.model.encodes_first:
        return None
    return image.load(spec.model, spec.modalities.image.size)


def trainable_audio_encoder(spec: Spec) -> keras.Model | None:
    """Loads the pretrained audio encoder that becomes part of the network; see above.

    Raises:
        OptionsError, StorageError: If its weights cannot be used; see `encoders.audio`.
    """
    if spec.model.audio_encoder is None or spec.model.encodes_audio_first:
        return None
    return audio.encoder_of(spec).load(spec)


def encoder_tower(
    values: Tensor, encoder: keras.Layer, spec: ModelSpec, modality: str = "image"
) -> Tensor:
    """Builds the tower: the pretrained encoder, then the last layers, which are not pretrained.

    Args:
        values: Input of the encoder, such as pixels, uint8 `[batch, size, size, 3]`.
        encoder: Pretrained encoder, from `trainable_encoder`.
        spec: Section `model` of the spec, with `dim` and `dropout`.
        modality: Name of the modality.

    Returns:
        Embedding, float32 `[batch, dim]`.
    """
    return layers.embedding(encoded(values, encoder, modality), spec, modality)


def encoded(values: Tensor, encoder: keras.Layer, modality: str = "image") -> Tensor:
    """Builds the scaled vectors of an encoder in the network, float32 `[batch, width]`."""
    return scaled(Encoder(encoder, name=f"{modality}_encoded")(values), modality)


def vector_tower(
    vectors: Tensor, present: Tensor, spec: ModelSpec, modality: str = "image"
) -> Tensor:
    """Builds the tower on vectors of an encoder that has run in preprocessing.

    Args:
        vectors: Vectors of the encoder, float32 `[batch, width]`.
        present: Mask of the rows that have the modality, bool `[batch]`.
        spec: Section `model` of the spec, with `dim` and `dropout`.
        modality: Name of the modality.

    Returns:
        Embedding, float32 `[batch, dim]`.
    """
    return layers.embedding(scaled_vectors(vectors, present, modality), spec, modality)


def scaled_vectors(vectors: Tensor, present: Tensor, modality: str = "image") -> Tensor:
    """Masks and scales vectors, float32 `[batch, width]`; zeros for rows without the modality."""
    masked = layers.MaskMissing(name=f"{modality}_masked")(vectors, present)
    return scaled(masked, modality)


def scaled(vectors: Tensor, modality: str = "image") -> Tensor:
    """Scales vectors, float32 `[batch, width]`, to a length of the square root of `width`."""
    units = keras.layers.UnitNormalization(name=f"{modality}_scaled")(vectors)
    length = float(vectors.shape[-1]) ** 0.5
    return keras.layers.Rescaling(length, name=f"{modality}_vector")(units)
