"""The picture's tower where a pretrained encoder comes before it."""

from typing import Any, TypeAlias

import keras

from triad_ml.model.towers import layers
from triad_ml.transforms.encoders import image
from triad_ml.transforms.spec.model import ModelSpec
from triad_ml.transforms.spec.spec import Spec

Tensor: TypeAlias = keras.KerasTensor


@keras.saving.register_keras_serializable(package="triad")
class Encoder(keras.layers.Layer):
    """Calls a network as if it were not in training, whatever the model around it does.

    Its normalization keeps the statistics that it came with, and its dropout is off; its weights
    have gradients. Takes and gives what the network does.
    """

    def __init__(self, network: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.network = network

    def call(self, pixels: Tensor) -> Tensor:
        return self.network(pixels, training=False)

    def compute_output_spec(self, pixels: Tensor) -> Tensor:
        return keras.KerasTensor((pixels.shape[0], self.network.output_shape[-1]), dtype="float32")


def trainable_encoder(spec: Spec) -> keras.Model | None:
    """The encoder that becomes a part of the network, with its weights, where there is one.

    Raises:
        OptionsError, StorageError: See `image_encoders.load`.
    """
    if spec.modalities.image is None or not spec.model.pretrained or spec.model.encodes_first:
        return None
    return image.load(spec.model, spec.modalities.image.size)


def encoder_tower(pixels: Tensor, encoder: keras.Model, spec: ModelSpec) -> Tensor:
    """The encoder, and a layer that learns from the records alone.

    Args:
        pixels: uint8 `[batch, size, size, 3]`.
        encoder: See `trainable_encoder`.
        spec: Gives `dim` and `dropout`.

    Returns:
        float32 `[batch, dim]`.
    """
    vectors = scaled(Encoder(encoder, name="image_encoded")(pixels))
    return layers.embedding(vectors, spec, "image")


def vector_tower(vectors: Tensor, present: Tensor, spec: ModelSpec) -> Tensor:
    """The same behind an encoder that has run in preprocessing.

    Args:
        vectors: float32 `[batch, width]`.
        present: bool `[batch]`.
        spec: Gives `dim` and `dropout`.

    Returns:
        float32 `[batch, dim]`.
    """
    return layers.embedding(scaled_vectors(vectors, present), spec, "image")


def scaled_vectors(vectors: Tensor, present: Tensor) -> Tensor:
    """The first part of `vector_tower`: float32 `[batch, width]`, zeros where nothing is there."""
    return scaled(layers.MaskMissing(name="image_masked")(vectors, present))


def scaled(vectors: Tensor) -> Tensor:
    """Vectors of pictures, float32 `[batch, width]`, at the length of the root of `width`."""
    units = keras.layers.UnitNormalization(name="image_scaled")(vectors)
    return keras.layers.Rescaling(float(vectors.shape[-1]) ** 0.5, name="image_vector")(units)
