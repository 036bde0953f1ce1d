"""Image and audio towers: residual depthwise-separable convolutions."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from triad_ml.model.towers.layers import MaskMissing, Shape, Tensor, embedding
from triad_ml.transforms.spec.model import ModelSpec


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
