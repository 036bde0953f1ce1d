"""Layers that all towers share: masking, pooling and the final projection."""

import math
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


def moments_of_present(
    values: Tensor, present: Tensor, mean: Tensor, variance: Tensor, momentum: float
) -> tuple[Tensor, Tensor]:
    """Computes mean and variance, float32 `[width]`, over the rows that are present.

    Moves the moving moments towards them. Fewer than two values have no variance: then the moving
    moments are returned, and stay.

    Args:
        values: float32 `[batch, ..., width]`.
        present: Mask of the rows that are present, bool `[batch]`.
        mean: Variable of the moving mean.
        variance: Variable of the moving variance.
        momentum: Share of the moving moments that stays.
    """
    axes = tuple(range(len(values.shape) - 1))
    mask = ops.reshape(ops.cast(present, "float32"), (-1,) + (1,) * len(axes))
    count = ops.sum(mask) * float(math.prod(values.shape[1:-1]))
    divisor = ops.maximum(count, 1.0)
    found = ops.sum(values * mask, axis=axes) / divisor
    spread = ops.sum(ops.square(values - found) * mask, axis=axes) / divisor
    enough = count > 1.5
    found, spread = ops.where(enough, found, mean), ops.where(enough, spread, variance)
    mean.assign_add((1.0 - momentum) * (found - mean))
    variance.assign_add((1.0 - momentum) * (spread - variance))
    return found, spread


def embedding(pooled: Tensor, spec: ModelSpec, modality: str) -> Tensor:
    """Adds the last layers of every tower, from float32 `[batch, width]` to `[batch, dim]`."""
    dropped = keras.layers.Dropout(spec.dropout, name=f"{modality}_dropout")(pooled)
    dense = keras.layers.Dense(spec.dim, name=f"{modality}_dense")(dropped)
    return keras.layers.LayerNormalization(name=f"{modality}_embedding")(dense)
