"""The steps of a tower, for fusion to look at: words, patches of an image, moments of a sound."""

from typing import NamedTuple

import keras
from keras import ops

from triad_ml.model.towers.layers import Tensor

LONGEST = 64
"""Tokens of one modality; where a tower gives more, neighbours are averaged."""


class Tokens(NamedTuple):
    """What a tower saw, step by step.

    Attributes:
        values: float32 `[batch, steps, width]`.
        known: Which steps hold something, bool `[batch, steps]`.
    """

    values: Tensor
    known: Tensor


@keras.saving.register_keras_serializable(package="triad")
class Shorten(keras.layers.Layer):
    """Averages neighbouring steps, those that hold something, until at most `LONGEST` are left.

    Takes float32 `[batch, steps, width]` and which steps count, bool `[batch, steps]`, and returns
    both for fewer steps; a step that averages none does not count and is zero.
    """

    def call(self, values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        steps, width = values.shape[1], values.shape[2]
        values = ops.where(known[:, :, None], values, 0.0)
        group = -(-steps // LONGEST)
        if group == 1:
            return values, known
        groups = -(-steps // group)
        spare = groups * group - steps
        values = ops.pad(values, [[0, 0], [0, spare], [0, 0]])
        counts = ops.cast(ops.pad(known, [[0, 0], [0, spare]]), "float32")
        counts = ops.sum(ops.reshape(counts, (-1, groups, group)), axis=2)
        summed = ops.sum(ops.reshape(values, (-1, groups, group, width)), axis=2)
        return summed / ops.maximum(counts, 1.0)[:, :, None], counts > 0

    def compute_output_spec(self, values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        rows, steps, width = values.shape
        groups = -(-steps // -(-steps // LONGEST))
        return (
            keras.KerasTensor((rows, groups, width), dtype="float32"),
            keras.KerasTensor((rows, groups), dtype="bool"),
        )


def word_tokens(sequence: Tensor, known: Tensor) -> Tokens:
    """The tokens of texts, from what `towers.text_sequence` gives."""
    return Tokens(*Shorten(name="text_shortened")(sequence, known))


def patch_tokens(maps: Tensor) -> Tokens:
    """The tokens of pictures: one a patch, row by row, at most 8 by 8.

    Args:
        maps: float32 `[batch, height, width, channels]`.
    """
    size = tuple(-(-side // 8) for side in maps.shape[1:3])
    pooled = keras.layers.AveragePooling2D(size, padding="same", name="image_patches")(maps)
    _, height, width, channels = pooled.shape
    values = keras.layers.Reshape((height * width, channels), name="image_tokens")(pooled)
    return Tokens(values, _all_known(values))


def moment_tokens(maps: Tensor) -> Tokens:
    """The tokens of sounds: one a moment, with all of its bands.

    Args:
        maps: float32 `[batch, moments, bands, channels]`.
    """
    _, moments, bands, channels = maps.shape
    values = keras.layers.Reshape((moments, bands * channels), name="audio_tokens")(maps)
    return Tokens(*Shorten(name="audio_shortened")(values, _all_known(values)))


def _all_known(values: Tensor) -> Tensor:
    return ops.ones_like(values[:, :, 0], dtype="bool")
