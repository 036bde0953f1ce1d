"""Towers: one modality each, from features to an embedding."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf
from keras import ops

from triad_ml.transforms.spec.spec import PAD, ModelSpec

Tensor: TypeAlias = keras.KerasTensor
Shape = tuple[int | None, ...]

NGRAMS = (1, 2, 3, 4)
"""How many neighbouring tokens each group of the text tower's filters sees."""


@keras.saving.register_keras_serializable(package="triad")
class MaskMissing(keras.layers.Layer):
    """Zeroes the rows that are missing, so that nothing in them, NaN included, goes any further.

    Takes features `[batch, ...]` of any type, and which rows are there, bool `[batch]`.
    """

    def call(self, features: Tensor, present: Tensor) -> Tensor:
        mask = ops.reshape(present, (-1,) + (1,) * (len(features.shape) - 1))
        return ops.where(mask, features, ops.zeros_like(features))

    def compute_output_spec(self, features: Tensor, present: Tensor) -> Tensor:
        return keras.KerasTensor(features.shape, dtype=features.dtype)


@keras.saving.register_keras_serializable(package="triad")
class ConvNorm(keras.layers.Layer):
    """Convolution and batch normalization over the rows that are there, then perhaps ReLU.

    Takes float32 `[batch, height, width, channels]` and which rows are there, bool `[batch]`.
    Missing rows change neither the statistics nor the other rows, and are zeros in training.
    Outside of it the normalization is folded into the kernel, so it costs nothing per record.

    Args:
        filters: Output channels; ignored where depthwise.
        kernel_size: Height and width.
        strides: Down and across.
        depthwise: One filter for each channel instead of filters over all.
        activate: Whether ReLU follows.
        momentum: Of the moving statistics.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: tuple[int, int] | list[int] = (1, 1),
        depthwise: bool = False,
        activate: bool = True,
        momentum: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = tuple(strides)
        self.depthwise = depthwise
        self.activate = activate
        self.momentum = momentum

    def build(self, inputs_shape: Shape, present_shape: Shape) -> None:
        channels = inputs_shape[-1] or 0
        if self.depthwise:
            self.filters = channels
            fan_in, outputs = self.kernel_size**2, 1
        else:
            fan_in, outputs = self.kernel_size**2 * channels, self.filters
        self.kernel = self.add_weight(
            shape=(self.kernel_size, self.kernel_size, channels, outputs),
            initializer=keras.initializers.TruncatedNormal(stddev=(2.0 / fan_in) ** 0.5),
            name="kernel",
        )
        per_filter: dict[str, Any] = {"shape": (self.filters,)}
        fixed = {**per_filter, "trainable": False}
        self.gamma = self.add_weight(initializer="ones", name="gamma", **per_filter)
        self.beta = self.add_weight(initializer="zeros", name="beta", **per_filter)
        self.moving_mean = self.add_weight(initializer="zeros", name="moving_mean", **fixed)
        self.moving_variance = self.add_weight(initializer="ones", name="moving_variance", **fixed)

    def call(self, inputs: Tensor, present: Tensor, training: bool = False) -> Tensor:
        if training:
            convolved = self._convolve(inputs, self.kernel)
            mean, variance = self._update(convolved, present)
            scale = self.gamma * ops.rsqrt(variance + keras.config.epsilon())
            outputs = (convolved - mean) * scale + self.beta
            # The scale is that of the rows which are there: it may blow up any other.
            outputs = ops.where(present[:, None, None, None], outputs, 0.0)
        else:
            scale = self.gamma * ops.rsqrt(self.moving_variance + keras.config.epsilon())
            folded = self.kernel * (scale[:, None] if self.depthwise else scale)
            # TensorFlow joins a convolution, bias_add and ReLU into one kernel, but not `+`.
            outputs = tf.nn.bias_add(
                self._convolve(inputs, folded), self.beta - self.moving_mean * scale
            )
        return ops.relu(outputs) if self.activate else outputs

    def _convolve(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        convolve = ops.depthwise_conv if self.depthwise else ops.conv
        return convolve(inputs, kernel, self.strides, padding="same", data_format="channels_last")

    def _update(self, convolved: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance `[filters]` over the rows that are there; moves the moving ones."""
        mask = ops.cast(present, "float32")[:, None, None, None]
        pixels = convolved.shape[1] * convolved.shape[2]
        count = ops.sum(mask) * float(pixels)
        divisor = ops.maximum(count, 1.0)
        mean = ops.sum(convolved * mask, axis=(0, 1, 2)) / divisor
        variance = ops.sum(ops.square(convolved - mean) * mask, axis=(0, 1, 2)) / divisor
        step = ops.where(count > 0, 1.0 - self.momentum, 0.0)
        self.moving_mean.assign_add(step * (mean - self.moving_mean))
        self.moving_variance.assign_add(step * (variance - self.moving_variance))
        return mean, variance

    def compute_output_shape(self, inputs_shape: Shape, present_shape: Shape) -> Shape:
        sizes = [
            None if size is None else -(-size // stride)
            for size, stride in zip(inputs_shape[1:3], self.strides, strict=True)
        ]
        channels = inputs_shape[-1] if self.depthwise else self.filters
        return (inputs_shape[0], *sizes, channels)

    def get_config(self) -> dict[str, Any]:
        own = ("filters", "kernel_size", "strides", "depthwise", "activate", "momentum")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@keras.saving.register_keras_serializable(package="triad")
class MaskedPooling(keras.layers.Layer):
    """Mean and maximum over the steps that hold something.

    Takes float32 `[batch, steps, dim]` and which steps count, bool `[batch, steps]`; returns
    `[batch, 2 * dim]`, zeros where no step counts.
    """

    def call(self, sequence: Tensor, known: Tensor) -> Tensor:
        counts = ops.cast(known, "float32")[:, :, None]
        mean = ops.sum(sequence * counts, axis=1) / ops.maximum(ops.sum(counts, axis=1), 1.0)
        highest = ops.max(ops.where(known[:, :, None], sequence, -1e9), axis=1)
        some = ops.any(known, axis=1)[:, None]
        return ops.concatenate([mean, ops.where(some, highest, 0.0)], axis=-1)

    def compute_output_shape(self, sequence_shape: Shape, known_shape: Shape) -> Shape:
        return (sequence_shape[0], 2 * (sequence_shape[-1] or 0))


def image_maps(pixels: Tensor, present: Tensor, spec: ModelSpec) -> Tensor:
    """Residual stages of depthwise-separable convolutions over a picture.

    Args:
        pixels: uint8 `[batch, size, size, 3]`.
        present: bool `[batch]`.
        spec: Gives `image_filters`.

    Returns:
        float32 `[batch, height, width, filters]`.
    """
    # No mask: bytes are finite, and what a missing picture holds ends at its learned embedding.
    maps = keras.layers.Rescaling(1 / 255, name="image_scaled")(pixels)
    return _stages(maps, present, spec.image_filters, "image")


def audio_maps(log_mel: Tensor, present: Tensor, spec: ModelSpec) -> Tensor:
    """The same stages over a spectrogram: one step of the first is 40 ms and 4 bins.

    Args:
        log_mel: float32 `[batch, frames, mel_bins]`, z-scored.
        present: bool `[batch]`.
        spec: Gives `audio_filters`.

    Returns:
        float32 `[batch, moments, bands, filters]`.
    """
    masked = MaskMissing(name="audio_masked")(log_mel, present)
    maps = keras.layers.Reshape((*masked.shape[1:], 1), name="audio_map")(masked)
    return _stages(maps, present, spec.audio_filters, "audio")


def text_sequence(
    tokens: Tensor,
    present: Tensor,
    spec: ModelSpec,
    vocabulary_size: int,
    spelled: tuple[Tensor, int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Filters over one to four neighbouring tokens, wherever they stand.

    Args:
        tokens: Ids, int64 `[batch, length]`.
        present: bool `[batch]`.
        spec: Gives `text_dim` and `dropout`.
        vocabulary_size: Number of ids.
        spelled: Numbers of the words' parts, int64 `[batch, length, parts]`, and the highest one.

    Returns:
        float32 `[batch, length, filters]`, and where there is a token, bool `[batch, length]`.
    """
    masked = MaskMissing(name="text_masked")(tokens, present)
    known = ops.not_equal(masked, PAD)
    embedded = keras.layers.Embedding(vocabulary_size, spec.text_dim, name="text_tokens")(masked)
    if spelled is not None:
        numbers, highest = spelled
        numbers = MaskMissing(name="text_spelling_masked")(numbers, present)
        parts = keras.layers.Embedding(highest + 1, spec.text_dim, name="text_spelling_vectors")(
            numbers
        )
        embedded = embedded + ops.sum(parts, axis=2)
    embedded = keras.layers.Dropout(spec.dropout, name="text_tokens_dropout")(embedded)
    embedded = embedded * ops.cast(known, "float32")[:, :, None]
    filters = max(spec.text_dim // 2, 4)
    grams = [
        keras.layers.Conv1D(
            filters, size, padding="same", activation="relu", name=f"text_{size}_grams"
        )(embedded)
        for size in NGRAMS
    ]
    return keras.layers.Concatenate(name="text_grams")(grams), known


def text_embedding(joined: Tensor, known: Tensor, spec: ModelSpec) -> Tensor:
    """What a text is about, float32 `[batch, dim]`, of what `text_sequence` gives."""
    pooled = MaskedPooling(name="text_pooled")(joined, known)
    return embedding(pooled, spec, "text")


def map_embedding(maps: Tensor, spec: ModelSpec, modality: str) -> Tensor:
    """Mean and maximum over a map, to float32 `[batch, dim]`."""
    mean = keras.layers.GlobalAveragePooling2D(name=f"{modality}_mean")(maps)
    highest = keras.layers.GlobalMaxPooling2D(name=f"{modality}_max")(maps)
    both = keras.layers.Concatenate(name=f"{modality}_pooled")([mean, highest])
    return embedding(both, spec, modality)


def _stages(maps: Tensor, present: Tensor, filters: Sequence[int], modality: str) -> Tensor:
    """A quarter of height and width first, then half at each stage."""
    for stage, width in enumerate(filters):
        kernel_size, stride = (7, 4) if stage == 0 else (3, 2)
        name = f"{modality}_{stage}"
        maps = ConvNorm(width, kernel_size, (stride, stride), name=name)(maps, present)
        maps = _residual(maps, present, name)
    return maps


def _residual(maps: Tensor, present: Tensor, name: str) -> Tensor:
    filters = maps.shape[-1]
    spread = ConvNorm(filters, 5, depthwise=True, name=f"{name}_depthwise")(maps, present)
    mixed = ConvNorm(filters, 1, activate=False, name=f"{name}_pointwise")(spread, present)
    return keras.layers.ReLU(name=f"{name}_joined")(maps + mixed)


def embedding(pooled: Tensor, spec: ModelSpec, modality: str) -> Tensor:
    """The end of every tower: float32 `[batch, numbers]` to float32 `[batch, dim]`."""
    dropped = keras.layers.Dropout(spec.dropout, name=f"{modality}_dropout")(pooled)
    dense = keras.layers.Dense(spec.dim, name=f"{modality}_dense")(dropped)
    return keras.layers.LayerNormalization(name=f"{modality}_embedding")(dense)
