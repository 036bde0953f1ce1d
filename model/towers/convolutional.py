"""Layers of the image and audio towers: residual depthwise-separable convolutions."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from triad_ml.model.towers.layers import Shape, Tensor, moments_of_present
from triad_ml.transforms.spec.model import ModelSpec


@keras.saving.register_keras_serializable(package="triad")
class ConvNorm(keras.layers.Layer):
    """Convolution with batch normalization over the rows that are present, and optionally ReLU.

    Takes float32 `[batch, height, width, channels]` and the mask of the rows that are present, bool
    `[batch]`. Missing rows change neither the statistics nor the other rows, and are zeros in
    training. Outside of training the normalization is folded into the kernel, so it costs nothing
    per record.

    Args:
        filters: Number of output channels; ignored if depthwise.
        kernel_size: Height and width of the kernel.
        strides: Vertical and horizontal stride.
        depthwise: True for one filter per channel instead of filters over all channels.
        activate: True to apply ReLU to the output.
        momentum: Momentum of the moving statistics.
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
            mean, variance = moments_of_present(
                convolved, present, self.moving_mean, self.moving_variance, self.momentum
            )
            scale = self.gamma * ops.rsqrt(variance + keras.config.epsilon())
            outputs = (convolved - mean) * scale + self.beta
            # The scale only fits the rows that are present, and may make any other row infinite.
            outputs = ops.where(present[:, None, None, None], outputs, 0.0)
        else:
            scale = self.gamma * ops.rsqrt(self.moving_variance + keras.config.epsilon())
            folded = self.kernel * (scale[:, None] if self.depthwise else scale)
            # TensorFlow fuses a convolution with `bias_add` and ReLU, but not with `+`.
            outputs = tf.nn.bias_add(
                self._convolve(inputs, folded), self.beta - self.moving_mean * scale
            )
        return ops.relu(outputs) if self.activate else outputs

    def _convolve(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        convolve = ops.depthwise_conv if self.depthwise else ops.conv
        return convolve(inputs, kernel, self.strides, padding="same", data_format="channels_last")

    def compute_output_shape(self, inputs_shape: Shape, present_shape: Shape) -> Shape:
        sizes = [
            None if size is None else -(-size // stride)
            for size, stride in zip(inputs_shape[1:3], self.strides, strict=True)
        ]
        channels = inputs_shape[-1] if self.depthwise else self.filters
        return (inputs_shape[0], *sizes, channels)

    def get_config(self) -> dict[str, Any]:
        names = ("filters", "kernel_size", "strides", "depthwise", "activate", "momentum")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def image_maps(pixels: Tensor, present: Tensor, spec: ModelSpec) -> Tensor:
    """Builds residual stages of depthwise-separable convolutions over an image.

    Args:
        pixels: Pixels, uint8 `[batch, size, size, 3]`.
        present: Mask of the rows that have an image, bool `[batch]`.
        spec: Section `model` of the spec, with `image_filters`.

    Returns:
        Feature maps, float32 `[batch, height, width, filters]`.
    """
    # No masking: bytes are finite, and a learned embedding replaces that of a missing image.
    maps = keras.layers.Rescaling(1 / 255, name="image_scaled")(pixels)
    return _stages(maps, present, spec.image_filters, "image")


def audio_maps(log_mel: Tensor, present: Tensor, spec: ModelSpec) -> Tensor:
    """Builds the same stages over a spectrogram; one step of the first stage is 40 ms and 4 bins.

    Args:
        log_mel: Log-mel spectrogram, float32 `[batch, frames, mel_bins]`, z-scored; zeros in rows
            without audio.
        present: Mask of the rows that have audio, bool `[batch]`.
        spec: Section `model` of the spec, with `audio_filters`.

    Returns:
        Feature maps, float32 `[batch, moments, bands, filters]`.
    """
    maps = keras.layers.Reshape((*log_mel.shape[1:], 1), name="audio_map")(log_mel)
    return _stages(maps, present, spec.audio_filters, "audio")


def map_vector(maps: Tensor, modality: str) -> Tensor:
    """Builds mean and maximum of feature maps, float32 `[batch, 2 * filters]`."""
    mean = keras.layers.GlobalAveragePooling2D(name=f"{modality}_mean")(maps)
    highest = keras.layers.GlobalMaxPooling2D(name=f"{modality}_max")(maps)
    return keras.layers.Concatenate(name=f"{modality}_pooled")([mean, highest])


def _stages(maps: Tensor, present: Tensor, filters: Sequence[int], modality: str) -> Tensor:
    """Builds the stages: the first divides height and width by 4, each further one by 2."""
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
