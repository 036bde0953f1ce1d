"""Tokens of a tower for fusion by attention: words, image patches, and moments of audio."""

from typing import NamedTuple

import keras
from keras import ops

from triad_ml.model.towers.layers import Tensor

LONGEST = 64
"""Largest number of tokens of one modality; more of them are averaged in groups of neighbours."""


class Tokens(NamedTuple):
    """Sequence of tokens of a tower.

    Attributes:
        values: Token vectors, float32 `[batch, steps, width]`.
        known: Mask of the tokens, bool `[batch, steps]`, False at padding.
    """

    values: Tensor
    known: Tensor


@keras.saving.register_keras_serializable(package="triad")
class Shorten(keras.layers.Layer):
    """Averages over groups of neighbouring steps, so that at most `LONGEST` are left.

    Takes float32 `[batch, steps, width]` and the mask of the steps, bool `[batch, steps]`; padding
    is left out of the averages. Returns both for the groups; a group of padding alone is zero and
    not in the mask.
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
    """Builds the tokens of texts from the word vectors and mask of `text.text_sequence`."""
    return Tokens(*Shorten(name="text_shortened")(sequence, known))


def patch_tokens(maps: Tensor) -> Tokens:
    """Builds the tokens of images: one per patch, row by row, at most 8 by 8 patches.

    Args:
        maps: Feature maps, float32 `[batch, height, width, channels]`.
    """
    size = tuple(-(-side // 8) for side in maps.shape[1:3])
    pooled = keras.layers.AveragePooling2D(size, padding="same", name="image_patches")(maps)
    _, height, width, channels = pooled.shape
    values = keras.layers.Reshape((height * width, channels), name="image_tokens")(pooled)
    return Tokens(values, _all_known(values))


def moment_tokens(maps: Tensor) -> Tokens:
    """Builds the tokens of audio: one per moment, with all of its bands.

    Args:
        maps: Feature maps, float32 `[batch, moments, bands, channels]`.
    """
    _, moments, bands, channels = maps.shape
    values = keras.layers.Reshape((moments, bands * channels), name="audio_tokens")(maps)
    return Tokens(*Shorten(name="audio_shortened")(values, _all_known(values)))


def _all_known(values: Tensor) -> Tensor:
    return ops.ones_like(values[:, :, 0], dtype="bool")
