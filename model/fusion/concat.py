"""Fusion by concatenation of the embeddings: a linear projection, or a multilayer perceptron."""

import itertools
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
    """Perceptron over all embeddings, with a linear skip connection.

    Inputs and output are those of `GatedFusion`.

    Args:
        dim: Size of the joint embedding.
        units: Numbers of units of the hidden layers; None for two layers of `2 * dim`.
        dropout: Share of each hidden layer's units that is dropped in training.
    """

    def __init__(
        self,
        dim: int,
        units: Sequence[int] | None = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dim = dim
        self.units = (2 * dim, 2 * dim) if units is None else tuple(units)
        self.dropout = dropout

    def build(self, embeddings_shape: Sequence[Shape], present_shape: Shape) -> None:
        width = _width(embeddings_shape)
        self.around = keras.layers.Dense(self.dim)
        self.around.build((None, width))
        self.hidden = [keras.layers.Dense(units, activation="relu") for units in self.units]
        self.output_layer = keras.layers.Dense(self.dim)
        for layer, size in zip(
            (*self.hidden, self.output_layer), (width, *self.units), strict=True
        ):
            layer.build((None, size))
        # Only where it is asked for: a layer more would change later random draws.
        self.dropped = [keras.layers.Dropout(self.dropout) for _ in self.units if self.dropout]
        self.normalization = keras.layers.LayerNormalization()
        self.normalization.build((None, self.dim))

    def call(self, embeddings: Sequence[Tensor], present: Tensor, training: bool = False) -> Tensor:
        context = _side_by_side(embeddings, present)
        mixed = context
        for layer, dropped in itertools.zip_longest(self.hidden, self.dropped):
            mixed = layer(mixed)
            if dropped is not None:
                mixed = dropped(mixed, training=training)
        return self.normalization(self.around(context) + self.output_layer(mixed))

    def compute_output_shape(
        self, embeddings_shape: Sequence[Shape], present_shape: Shape
    ) -> Shape:
        return (embeddings_shape[0][0], self.dim)

    def get_config(self) -> dict[str, Any]:
        config = {"dim": self.dim, "units": list(self.units), "dropout": self.dropout}
        return {**super().get_config(), **config}


def _side_by_side(embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
    """Concatenates the embeddings and the mask of the modalities, to float32 `[batch, width]`."""
    return ops.concatenate([*embeddings, ops.cast(present, "float32")], axis=-1)


def _width(embeddings_shape: Sequence[Shape]) -> int:
    """Returns the width of `_side_by_side`."""
    return sum(shape[-1] or 0 for shape in embeddings_shape) + len(embeddings_shape)
