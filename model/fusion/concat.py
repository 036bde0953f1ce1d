"""Fusion by concatenation of the embeddings: a linear projection, or a multilayer perceptron."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import keras
from keras import ops

Tensor: TypeAlias = keras.KerasTensor
Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable(package="triad")
class ConcatFusion(keras.layers.Layer):
    """Linear projection of the concatenated embeddings: shared features, but no interaction.

    Interactions of modalities are left to the heads, which have a hidden layer for them; see
    `registry.Fusion.hidden_units`. Arguments, inputs and output are those of `GatedFusion`.
    """

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, embeddings_shape: Sequence[Shape], present_shape: Shape) -> None:
        self.mixing = keras.layers.Dense(self.dim)
        self.mixing.build((None, _width(embeddings_shape)))
        self.normalization = keras.layers.LayerNormalization()
        self.normalization.build((None, self.dim))

    def call(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        return self.normalization(self.mixing(_side_by_side(embeddings, present)))

    def compute_output_shape(
        self, embeddings_shape: Sequence[Shape], present_shape: Shape
    ) -> Shape:
        return (embeddings_shape[0][0], self.dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim}


@keras.saving.register_keras_serializable(package="triad")
class MlpFusion(keras.layers.Layer):
    """Perceptron with two hidden layers over all embeddings, with a linear skip connection.

    Arguments, inputs and output are those of `GatedFusion`.
    """

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, embeddings_shape: Sequence[Shape], present_shape: Shape) -> None:
        width = _width(embeddings_shape)
        self.around = keras.layers.Dense(self.dim)
        self.around.build((None, width))
        self.hidden = [keras.layers.Dense(2 * self.dim, activation="relu") for _ in range(2)]
        self.output_layer = keras.layers.Dense(self.dim)
        for layer, size in zip(
            (*self.hidden, self.output_layer), (width, 2 * self.dim, 2 * self.dim), strict=True
        ):
            layer.build((None, size))
        self.normalization = keras.layers.LayerNormalization()
        self.normalization.build((None, self.dim))

    def call(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        context = _side_by_side(embeddings, present)
        mixed = context
        for layer in self.hidden:
            mixed = layer(mixed)
        return self.normalization(self.around(context) + self.output_layer(mixed))

    def compute_output_shape(
        self, embeddings_shape: Sequence[Shape], present_shape: Shape
    ) -> Shape:
        return (embeddings_shape[0][0], self.dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim}


def _side_by_side(embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
    """Concatenates the embeddings and the mask of the modalities, to float32 `[batch, width]`."""
    return ops.concatenate([*embeddings, ops.cast(present, "float32")], axis=-1)


def _width(embeddings_shape: Sequence[Shape]) -> int:
    """Returns the width of `_side_by_side`."""
    return sum(shape[-1] or 0 for shape in embeddings_shape) + len(embeddings_shape)
