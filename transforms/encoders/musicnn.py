"""Tagger of music musicnn (ISC, Jordi Pons) as a Keras model up to its second-last layer.

The import of the weights folds each batch normalization into a scale and an offset. They follow
the ReLU of a convolution, so they cannot be folded into its kernel.
"""

from typing import Any, NamedTuple, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from triad_ml.transforms.encoders import mel
from triad_ml.transforms.files.safetensors import Arrays

Tensor: TypeAlias = keras.KerasTensor
Shape = tuple[int | None, ...]

FFT_LENGTH, HOP, BINS = 512, 256, 96
"""Number of samples in a window and between the centres of two windows, and of mel bins."""

PATCH = 187
"""Number of frames, of 3 seconds, from which one vector is computed."""

WIDTH = 200
"""Size of the vector."""

_GAIN = 10_000.0
"""Factor of a bin's power before 1 is added and the decimal logarithm is taken."""

_TIMBRAL, _TEMPORAL, _MIDDLE = 204, 51, 64
"""Numbers of filters: over bands of the spectrum, over time, and of the later layers."""


class Part(NamedTuple):
    """Layer with weights.

    Attributes:
        name: Name of the layer; its scale and offset are those of `NAME_scaled`.
        convolution: Name in the checkpoint of the convolution or dense layer.
        normalization: Name in the checkpoint of the batch normalization that follows.
    """

    name: str
    convolution: str
    normalization: str


PARTS = (
    Part("timbral_0", "conv2d", "batch_normalization_1"),
    Part("timbral_1", "conv2d_1", "batch_normalization_2"),
    Part("temporal_0", "conv2d_2", "batch_normalization_3"),
    Part("temporal_1", "conv2d_3", "batch_normalization_4"),
    Part("temporal_2", "conv2d_4", "batch_normalization_5"),
    Part("middle_0", "conv2d_5", "batch_normalization_6"),
    Part("middle_1", "conv2d_6", "batch_normalization_7"),
    Part("middle_2", "conv2d_7", "batch_normalization_8"),
    Part("vector", "dense", "batch_normalization_10"),
)
"""Layers with weights in their order."""

ALONE = (("frames_scaled", "batch_normalization"), ("pooled_scaled", "batch_normalization_9"))
"""Names of scales without a layer before them, with their batch normalizations."""


def num_frames(samples: int) -> int:
    """Returns the number of frames of a number of samples."""
    return 1 + samples // HOP


def log_mel(signal: tf.Tensor, num_samples: tf.Tensor) -> tf.Tensor:
    """Computes musicnn's log-mel spectrogram.

    Args:
        signal: Samples at 16 kHz, zero-padded, float32 `[batch, samples]`.
        num_samples: Number of samples that are no padding, int32 `[batch]`.

    Returns:
        float32 `[batch, frames, BINS]`; 0 is silence.
    """
    frames = num_frames(signal.shape[1])
    power = mel.power_mel(signal, mel.RATE, FFT_LENGTH, HOP, BINS)
    values = mel.log10(_GAIN * power + 1.0)
    heard = mel.sounding(num_samples, frames, FFT_LENGTH, HOP)
    return tf.ensure_shape(tf.where(heard[:, :, tf.newaxis], values, 0.0), [None, frames, BINS])


@keras.saving.register_keras_serializable(package="triad")
class Scale(keras.layers.Layer):
    """Multiplies and shifts each channel: a batch normalization with fixed statistics."""

    def build(self, shape: Shape) -> None:
        self.scale = self.add_weight(shape=shape[-1:], initializer="ones", name="scale")
        self.offset = self.add_weight(shape=shape[-1:], initializer="zeros", name="offset")

    def call(self, values: Tensor) -> Tensor:
        return values * self.scale + self.offset


@keras.saving.register_keras_serializable(package="triad")
class Patches(keras.layers.Layer):
    """Cuts spectrograms into patches of `PATCH` frames that cover all of them.

    Takes float32 `[batch, frames, bins]`; returns `[batch * patches, PATCH, bins]`, and the mask
    of the patches that hold more than silence, float32 `[batch, patches]`. Neighbouring patches
    overlap if the number of frames is no multiple of `PATCH`; too few frames are filled up.
    """

    def call(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        starts = patch_starts(frames.shape[1])
        spare = max(0, PATCH - frames.shape[1])
        padded = ops.pad(frames, [[0, 0], [0, spare], [0, 0]])
        patches = ops.stack([padded[:, start : start + PATCH] for start in starts], axis=1)
        heard = ops.any(ops.not_equal(patches, 0.0), axis=(2, 3))
        return ops.reshape(patches, (-1, PATCH, frames.shape[2])), ops.cast(heard, "float32")

    def compute_output_spec(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        rows, steps, bins = frames.shape
        return (
            keras.KerasTensor((None, PATCH, bins), dtype="float32"),
            keras.KerasTensor((rows, len(patch_starts(steps))), dtype="float32"),
        )


@keras.saving.register_keras_serializable(package="triad")
class MeanOfPatches(keras.layers.Layer):
    """Averages the vectors of a row's patches, without those of silence.

    Takes float32 `[batch * patches, width]` and the mask, float32 `[batch, patches]`; returns
    float32 `[batch, width]`, zeros for a row of silence.
    """

    def call(self, vectors: Tensor, heard: Tensor) -> Tensor:
        by_row = ops.reshape(vectors, (-1, heard.shape[1], vectors.shape[1]))
        counts = ops.maximum(ops.sum(heard, axis=1, keepdims=True), 1.0)
        return ops.sum(by_row * heard[:, :, None], axis=1) / counts

    def compute_output_spec(self, vectors: Tensor, heard: Tensor) -> Tensor:
        return keras.KerasTensor((heard.shape[0], vectors.shape[1]), dtype="float32")


def patch_starts(frames: int) -> list[int]:
    """Returns the first frame of each patch."""
    count = max(1, -(-frames // PATCH))
    return [int(start) for start in np.round(np.linspace(0, max(0, frames - PATCH), count))]


def build(frames: int) -> keras.Model:
    """Builds the tagger with random weights.

    Args:
        frames: Number of frames.

    Returns:
        Model from log-mel frames, float32 `[batch, frames, BINS]`, to the mean of the patches'
        vectors, float32 `[batch, WIDTH]`.
    """
    inputs = keras.Input((frames, BINS), name="frames")
    patches, heard = Patches(name="patches")(inputs)
    maps = Scale(name="frames_scaled")(keras.layers.Reshape((PATCH, BINS, 1))(patches))
    padded = keras.layers.ZeroPadding2D(((3, 3), (0, 0)), name="frames_padded")(maps)
    bands = [(padded, _TIMBRAL, (7, int(share * BINS)), "valid") for share in (0.4, 0.7)]
    times = [(maps, _TEMPORAL, (length, 1), "same") for length in (128, 64, 32)]
    fronts = []
    for part, (values, filters, size, padding) in zip(PARTS, [*bands, *times], strict=False):
        found = _convolved(values, part.name, filters, size, padding)
        fronts.append(ops.max(found, axis=2))
    features = [keras.layers.Concatenate(name="front")(fronts)]
    features.append(_middle(features[0], "middle_0"))
    for name in ("middle_1", "middle_2"):
        features.append(_middle(features[-1], name) + features[-1])
    joined = keras.layers.Concatenate(name="all")(features)
    both = ops.stack([ops.max(joined, axis=1), ops.mean(joined, axis=1)], axis=2)
    pooled = keras.layers.Reshape((2 * joined.shape[2],), name="pooled")(both)
    dense = keras.layers.Dense(WIDTH, "relu", name="vector")(Scale(name="pooled_scaled")(pooled))
    vectors = Scale(name="vector_scaled")(dense)
    mean = MeanOfPatches(name="mean_of_patches")(vectors, heard)
    return keras.Model(inputs, mean, name="musicnn")


def assign(model: keras.Model, arrays: Arrays) -> None:
    """Gives a model of `build` its weights.

    Args:
        model: The model.
        arrays: Tensors `NAME.kernel`, `NAME.bias`, `NAME.scale` and `NAME.offset` by layer.

    Raises:
        KeyError: If a tensor is missing.
        ValueError: If a tensor has another shape.
    """
    layers = [layer for layer in model.layers if layer.weights]
    for layer in layers:
        parts = ("scale", "offset") if isinstance(layer, Scale) else ("kernel", "bias")
        for part in parts:
            variable, value = getattr(layer, part), arrays[f"{layer.name}.{part}"]
            if tuple(variable.shape) != value.shape:
                raise ValueError(f"{value.shape} is not {tuple(variable.shape)}")
            variable.assign(value.astype(np.float32))


def _convolved(values: Tensor, name: str, filters: int, size: Any, padding: str) -> Tensor:
    convolution = keras.layers.Conv2D(filters, size, padding=padding, activation="relu", name=name)
    return Scale(name=f"{name}_scaled")(convolution(values))


def _middle(values: Tensor, name: str) -> Tensor:
    """Convolves over time, all channels at once; takes and returns `[batch, steps, channels]`."""
    _, steps, channels = values.shape
    maps = keras.layers.Reshape((steps, channels, 1), name=f"{name}_map")(values)
    padded = keras.layers.ZeroPadding2D(((3, 3), (0, 0)), name=f"{name}_padded")(maps)
    found = _convolved(padded, name, _MIDDLE, (7, channels), "valid")
    return keras.layers.Reshape((steps, _MIDDLE), name=f"{name}_steps")(found)
