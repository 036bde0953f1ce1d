"""Layers that all towers share: masking, pooling and the final projection."""

from typing import TypeAlias

import keras
from keras import ops

from triad_ml.transforms.spec.model import ModelSpec

Tensor: TypeAlias = keras.KerasTensor
Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable(package="triad")
class MaskMissing(keras.layers.Layer):
    """Zeros in place of missing rows, so that none of their values, NaN included, is used.

    Takes features `[batch, ...]` of any dtype, and the mask of the rows that are present, bool
    `[batch]`; returns features of the same shape and dtype.
    """

    def call(self, features: Tensor, present: Tensor) -> Tensor:
        mask = ops.reshape(present, (-1,) + (1,) * (len(features.shape) - 1))
        return ops.where(mask, features, ops.zeros_like(features))

    def compute_output_spec(self, features: Tensor, present: Tensor) -> Tensor:
        return keras.KerasTensor(features.shape, dtype=features.dtype)


@keras.saving.register_keras_serializable(package="triad")
class MaskedPooling(keras.layers.Layer):
    """Mean and maximum over the steps that are not padding.

    Takes float32 `[batch, steps, dim]` and the mask of the steps, bool `[batch, steps]`; returns
    `[batch, 2 * dim]`, zeros for a row without steps.
    """

    def call(self, sequence: Tensor, known: Tensor) -> Tensor:
        counts = ops.cast(known, "float32")[:, :, None]
        mean = ops.sum(sequence * counts, axis=1) / ops.maximum(ops.sum(counts, axis=1), 1.0)
        highest = ops.max(ops.where(known[:, :, None], sequence, -1e9), axis=1)
        some = ops.any(known, axis=1)[:, None]
        return ops.concatenate([mean, ops.where(some, highest, 0.0)], axis=-1)

    def compute_output_shape(self, sequence_shape: Shape, known_shape: Shape) -> Shape:
        return (sequence_shape[0], 2 * (sequence_shape[-1] or 0))


def embedding(pooled: Tensor, spec: ModelSpec, modality: str) -> Tensor:
    """Adds the last layers of every tower, from float32 `[batch, width]` to `[batch, dim]`."""
    dropped = keras.layers.Dropout(spec.dropout, name=f"{modality}_dropout")(pooled)
    dense = keras.layers.Dense(spec.dim, name=f"{modality}_dense")(dropped)
    return keras.layers.LayerNormalization(name=f"{modality}_embedding")(dense)
