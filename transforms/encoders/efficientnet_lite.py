"""EfficientNet-Lite0 (Apache-2.0, from TensorFlow's TPU models) as a Keras model, without its head.

The model has no batch normalization: the import of the weights folds it into the kernels, so that
an image needs convolutions only.
"""

from typing import NamedTuple, TypeAlias

import keras

Tensor: TypeAlias = keras.KerasTensor

SIZE = 224
"""Height and width of the images on which the weights were trained."""

MEAN, DEVIATION = 127.0, 128.0
"""Mean that is subtracted from each byte of an image, and divisor of the difference."""

STEM, WIDTH = 32, 1280
"""Number of channels of the first convolution, and size of the embedding."""


class Stage(NamedTuple):
    """Consecutive blocks, of which the first changes size and number of channels."""

    blocks: int
    kernel_size: int
    stride: int
    expansion: int
    filters: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def build(size: int) -> keras.Model:
    """Builds the network with random weights.

    Its layers with weights are named `stem`, `block_N_expand`, `block_N_depthwise`,
    `block_N_project` and `head`.

    Args:
        size: Height and width of the images, at least 32.

    Returns:
        Model from pixels, float32 `[batch, size, size, 3]`, which are `(byte - MEAN) / DEVIATION`,
        to the mean of the last feature map, float32 `[batch, WIDTH]`.
    """
    pixels = keras.Input((size, size, 3), name="pixels")
    maps = _convolution(pixels, STEM, 3, "stem", strides=2)
    number = 0
    for stage in STAGES:
        for index in range(stage.blocks):
            stride = stage.stride if index == 0 else 1
            maps = _block(maps, stage, stride, f"block_{number}")
            number += 1
    maps = _convolution(maps, WIDTH, 1, "head")
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(maps)
    return keras.Model(pixels, pooled, name="efficientnet_lite0")


def _block(maps: Tensor, stage: Stage, stride: int, name: str) -> Tensor:
    channels = maps.shape[-1]
    wide = maps
    if stage.expansion > 1:
        wide = _convolution(maps, stage.expansion * channels, 1, f"{name}_expand")
    wide = keras.layers.DepthwiseConv2D(
        stage.kernel_size, stride, padding="same", name=f"{name}_depthwise"
    )(wide)
    wide = keras.layers.ReLU(6.0, name=f"{name}_depthwise_relu")(wide)
    narrow = keras.layers.Conv2D(stage.filters, 1, name=f"{name}_project")(wide)
    if stride > 1 or channels != stage.filters:
        return narrow
    return keras.layers.Add(name=f"{name}_add")([maps, narrow])


def _convolution(
    maps: Tensor, filters: int, kernel_size: int, name: str, strides: int = 1
) -> Tensor:
    convolved = keras.layers.Conv2D(filters, kernel_size, strides, padding="same", name=name)(maps)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(convolved)
