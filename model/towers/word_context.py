"""Words in context: dilated convolutions over the words of a text."""

from typing import TypeAlias

import keras
from keras import ops

from triad_ml.transforms.spec.model import ModelSpec

Tensor: TypeAlias = keras.KerasTensor

DILATIONS = (1, 2, 4, 8)
"""Distances of the neighbours in each layer; together a word sees 15 words to either side."""


@keras.saving.register_keras_serializable(package="triad")
class Neighbours(keras.layers.Layer):
    """Each step concatenated with its neighbours `distance` before and after it.

    Takes float32 `[batch, steps, dim]` and returns `[batch, steps, 3 * dim]`; neighbours past the
    ends are zeros.

    Args:
        distance: Distance of the neighbours, in steps.
    """

    def __init__(self, distance: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.distance = distance

    def call(self, sequence: Tensor) -> Tensor:
        steps, far = sequence.shape[1], self.distance
        padded = ops.pad(sequence, [[0, 0], [far, far], [0, 0]])
        return ops.concatenate(
            [padded[:, :steps], sequence, padded[:, 2 * far : 2 * far + steps]], axis=-1
        )

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*shape[:-1], 3 * (shape[-1] or 0))

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "distance": self.distance}


def in_context(words: Tensor, known: Tensor, spec: ModelSpec, name: str) -> Tensor:
    """Adds residual layers over ever farther neighbours.

    Args:
        words: Word vectors, float32 `[batch, length, dim]`.
        known: Mask of the words, bool `[batch, length]`.
        spec: Section `model` of the spec, with `dim` and `dropout`.
        name: Prefix of the layers' names.

    Returns:
        Word vectors in context, float32 `[batch, length, dim]`.
    """
    mask = ops.cast(known, "float32")[:, :, None]
    for distance in DILATIONS:
        layer = f"{name}_{distance}"
        near = Neighbours(distance, name=f"{layer}_neighbours")(words * mask)
        seen = keras.layers.Dense(spec.dim, activation="relu", name=layer)(near)
        seen = keras.layers.Dropout(spec.dropout, name=f"{layer}_dropout")(seen)
        words = keras.layers.LayerNormalization(name=f"{layer}_joined")(words + seen)
    return words
