"""Image tower on the vectors of a pretrained encoder."""

from typing import Any, TypeAlias

import keras

from triad_ml.model.towers import layers
from triad_ml.transforms.encoders import image
from triad_ml.transforms.spec.model import ModelSpec
from triad_ml.transforms.spec.spec import Spec

Tensor: TypeAlias = keras.KerasTensor


@keras.saving.register_keras_serializable(package="triad")
class Encoder(keras.layers.Layer):
    """Pretrained network that always runs in inference mode, even while the model is trained.

    Its normalization keeps its pretrained statistics, and its dropout is off, but its weights have
    gradients. Takes and returns the same tensors as the network: uint8 `[batch, size, size, 3]` to
    float32 `[batch, width]`.

    Args:
        network: The pretrained network.
    """

    def __init__(self, network: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.network = network

    def call(self, pixels: Tensor) -> Tensor:
        return self.network(pixels, training=False)

    def compute_output_spec(self, pixels: Tensor) -> Tensor:
        return keras.KerasTensor((pixels.shape[0], self.network.output_shape[-1]), dtype="float32")


def trainable_encoder(spec: Spec) -> keras.Model | None:
    """Loads the pretrained encoder that becomes part of the network.

    Returns None if the spec has none, or if preprocessing runs it.

    Raises:
        OptionsError, StorageError: If its weights cannot be used; see `encoders.image.load`.
    """
    if spec.modalities.image is None or not spec.model.pretrained or spec.model.encodes_first:
        return None
    return image.load(spec.model, spec.modalities.image.size)


def encoder_tower(pixels: Tensor, encoder: keras.Model, spec: ModelSpec) -> Tensor:
    """Builds the tower: the pretrained encoder, then the last layers, which are not pretrained.

    Args:
        pixels: Pixels, uint8 `[batch, size, size, 3]`.
        encoder: Pretrained encoder, from `trainable_encoder`.
        spec: Section `model` of the spec, with `dim` and `dropout`.

    Returns:
        Embedding, float32 `[batch, dim]`.
    """
    vectors = scaled(Encoder(encoder, name="image_encoded")(pixels))
    return layers.embedding(vectors, spec, "image")


def vector_tower(vectors: Tensor, present: Tensor, spec: ModelSpec) -> Tensor:
    """Builds the tower on vectors of an encoder that has run in preprocessing.

    Args:
        vectors: Vectors of the encoder, float32 `[batch, width]`.
        present: Mask of the rows that have an image, bool `[batch]`.
        spec: Section `model` of the spec, with `dim` and `dropout`.

    Returns:
        Embedding, float32 `[batch, dim]`.
    """
    return layers.embedding(scaled_vectors(vectors, present), spec, "image")


def scaled_vectors(vectors: Tensor, present: Tensor) -> Tensor:
    """Masks and scales vectors, float32 `[batch, width]`; zeros for rows without an image."""
    return scaled(layers.MaskMissing(name="image_masked")(vectors, present))


def scaled(vectors: Tensor) -> Tensor:
    """Scales vectors, float32 `[batch, width]`, to a length of the square root of `width`."""
    units = keras.layers.UnitNormalization(name="image_scaled")(vectors)
    return keras.layers.Rescaling(float(vectors.shape[-1]) ** 0.5, name="image_vector")(units)
