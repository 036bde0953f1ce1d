"""Encoder of Whisper (MIT, OpenAI) as a Keras model, with its log-mel spectrogram.

The tensors have the names that Hugging Face's Transformers gives them, from `encoder.` on.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import ops

from triad_ml.transforms.encoders import mel
from triad_ml.transforms.files.safetensors import Arrays

Tensor: TypeAlias = keras.KerasTensor
Shape = tuple[int | None, ...]

FFT_LENGTH, HOP = 400, 160
"""Number of samples in a window, and between the centres of two windows."""

LONGEST = 30.0
"""Largest duration in seconds that the positions of the encoder reach."""

_RANGE = 8.0
"""Decades of power below the loudest value at which quieter values are cut."""

_SILENCE = -10.0
"""Decimal logarithm of the power that stands for silence."""

_EPSILON = 1e-5
"""Epsilon of the layer normalizations."""

_LARGEST = {"width": 4096, "layers": 64, "heads": 64, "hidden": 16384, "positions": 1500}


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of an encoder.

    Attributes:
        bins: Number of mel bins, 80 or 128.
        width: Size of a position's vector, an even multiple of `heads`.
        layers: Number of blocks.
        heads: Number of attention heads.
        hidden: Number of units in the hidden layer of a block.
        positions: Number of positions, each of two frames, that have a vector.

    Raises:
        ValueError: If the sizes are not those of an encoder; the message names the first fault.
    """

    bins: int
    width: int
    layers: int
    heads: int
    hidden: int
    positions: int

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if type(value) is not int or not 1 <= value <= _LARGEST.get(name, 128):
                raise ValueError(f"{name} is {value!r}")
        if self.bins not in (80, 128):
            raise ValueError(f"bins is {self.bins}, not 80 or 128")
        if self.width % (2 * self.heads) or self.width < 4:
            raise ValueError(f"width {self.width} is no even multiple of {self.heads} heads")

    @classmethod
    def from_json(cls, text: str) -> "Config":
        """Reads a configuration from the text of `to_json`.

        Raises:
            ValueError: If the text is no configuration.
        """
        content = json.loads(text)
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(content, dict) or content.keys() != names:
            raise ValueError(f"the keys are not {', '.join(sorted(names))}")
        return cls(**content)

    def to_json(self) -> str:
        """Returns one canonical line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


def num_frames(samples: int) -> int:
    """Returns the number of frames of a number of samples; the last window has no frame."""
    return samples // HOP


def log_mel(signal: tf.Tensor, num_samples: tf.Tensor, bins: int) -> tf.Tensor:
    """Computes Whisper's log-mel spectrogram.

    Decimal logarithms of power, cut at 8 below the largest one, plus 4, divided by 4.

    Args:
        signal: Samples at 16 kHz, zero-padded, float32 `[batch, samples]`.
        num_samples: Number of samples that are no padding, int32 `[batch]`.
        bins: Number of mel bins.

    Returns:
        float32 `[batch, frames, bins]`; frames without a sample are 0, see `Silence`.
    """
    power = mel.power_mel(signal, mel.RATE, FFT_LENGTH, HOP, bins)[:, :-1]
    logarithms = mel.log10(tf.maximum(power, 10.0**_SILENCE))
    largest = tf.reduce_max(logarithms, axis=[1, 2], keepdims=True)
    scaled = (tf.maximum(logarithms, largest - _RANGE) + 4.0) / 4.0
    frames = num_frames(signal.shape[1])
    heard = mel.sounding(num_samples, frames, FFT_LENGTH, HOP)
    return tf.ensure_shape(tf.where(heard[:, :, tf.newaxis], scaled, 0.0), [None, frames, bins])


@keras.saving.register_keras_serializable(package="triad")
class Silence(keras.layers.Layer):
    """Whisper's values of silence in place of frames of zeros, which stand for padding.

    Takes float32 `[batch, frames, bins]`; returns the same shape, and the mask of the positions
    that are no padding, bool `[batch, positions]`: a position has two frames.
    """

    def call(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        known = ops.any(ops.not_equal(frames, 0.0), axis=2)
        largest = ops.max(ops.where(known[:, :, None], frames, -1e9), axis=(1, 2), keepdims=True)
        silence = ops.maximum(largest - _RANGE / 4.0, (_SILENCE + 4.0) / 4.0)
        return ops.where(known[:, :, None], frames, silence), known[:, ::2]

    def compute_output_spec(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        rows, steps, _ = frames.shape
        return (
            keras.KerasTensor(frames.shape, dtype="float32"),
            keras.KerasTensor((rows, (steps + 1) // 2), dtype="bool"),
        )


@keras.saving.register_keras_serializable(package="triad")
class Positions(keras.layers.Layer):
    """Adds a vector of sines and cosines to each position, float32 `[batch, positions, width]`.

    The vectors are weights that are not trained, because a checkpoint may hold them rounded.
    """

    def build(self, shape: Shape) -> None:
        self.vectors = self.add_weight(
            shape=shape[1:], initializer="zeros", trainable=False, name="vectors"
        )
        _, positions, width = shape
        self.vectors.assign(sinusoids(positions or 0, width or 0))

    def call(self, values: Tensor) -> Tensor:
        return values + self.vectors


@keras.saving.register_keras_serializable(package="triad")
class Block(keras.layers.Layer):
    """Attention and a perceptron, each behind a layer normalization and beside a shortcut.

    Takes and returns float32 `[batch, positions, width]`.

    Args:
        heads: Number of attention heads.
        hidden: Number of units in the hidden layer of the perceptron.
    """

    def __init__(self, heads: int, hidden: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads, self.hidden = heads, hidden

    def build(self, shape: Shape) -> None:
        width = shape[-1]
        norm, dense = keras.layers.LayerNormalization, keras.layers.Dense
        self.attention_norm = norm(epsilon=_EPSILON, name="attention_norm")
        self.query = dense(width, name="query")
        self.key = dense(width, use_bias=False, name="key")
        self.value = dense(width, name="value")
        self.joined = dense(width, name="joined")
        self.perceptron_norm = norm(epsilon=_EPSILON, name="perceptron_norm")
        self.wide = dense(self.hidden, name="wide")
        self.narrow = dense(width, name="narrow")
        for layer in (self.query, self.key, self.value, self.joined, self.wide):
            layer.build(shape)
        self.narrow.build((*shape[:-1], self.hidden))
        self.attention_norm.build(shape)
        self.perceptron_norm.build(shape)

    def call(self, values: Tensor) -> Tensor:
        values = values + self._attend(self.attention_norm(values))
        wide = gelu(self.wide(self.perceptron_norm(values)))
        return values + self.narrow(wide)

    def _attend(self, values: Tensor) -> Tensor:
        _, steps, width = values.shape
        size = width // self.heads

        def parts(tensor: Tensor) -> Tensor:
            return ops.transpose(ops.reshape(tensor, (-1, steps, self.heads, size)), (0, 2, 1, 3))

        query, key, value = (parts(layer(values)) for layer in (self.query, self.key, self.value))
        products = ops.matmul(query * size**-0.5, ops.transpose(key, (0, 1, 3, 2)))
        mixed = ops.matmul(ops.softmax(products, axis=-1), value)
        return self.joined(ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, steps, width)))

    def compute_output_shape(self, shape: Shape) -> Shape:
        return shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "heads": self.heads, "hidden": self.hidden}


@keras.saving.register_keras_serializable(package="triad")
def gelu(values: Tensor) -> Tensor:
    """Computes the exact GELU, with the error function."""
    return ops.gelu(values, approximate=False)


def sinusoids(positions: int, width: int) -> npt.NDArray[np.float32]:
    """Computes the vectors of positions: sines of falling frequency, then their cosines.

    Returns:
        float32 `[positions, width]`.
    """
    falling = np.exp(-math.log(10_000) / (width // 2 - 1) * np.arange(width // 2))
    angles = np.arange(positions)[:, None] * falling
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def build(config: Config, frames: int) -> keras.Model:
    """Builds the encoder with random weights.

    Args:
        config: Sizes of the encoder.
        frames: Number of frames, at most twice `config.positions`.

    Returns:
        Model from log-mel frames, float32 `[batch, frames, bins]`, to the vectors of positions,
        float32 `[batch, positions, width]`, and the mask of those that are no padding, bool
        `[batch, positions]`.
    """
    inputs = keras.Input((frames, config.bins), name="frames")
    values, known = Silence(name="silence")(inputs)
    for name, stride in (("stem_0", 1), ("stem_1", 2)):
        padded = keras.layers.ZeroPadding1D(1, name=f"{name}_padded")(values)
        convolved = keras.layers.Conv1D(config.width, 3, stride, name=name)(padded)
        values = keras.layers.Activation(gelu, name=f"{name}_gelu")(convolved)
    values = Positions(name="positions")(values)
    for index in range(config.layers):
        values = Block(config.heads, config.hidden, name=f"block_{index}")(values)
    values = keras.layers.LayerNormalization(epsilon=_EPSILON, name="norm")(values)
    return keras.Model(inputs, [values, known], name="whisper")


def layer(model: keras.Model, number: int) -> Tensor:
    """Returns an inner layer of a model of `build`, float32 `[batch, positions, width]`.

    Args:
        model: The model.
        number: 0 for what the first block reads, n for the output of the n-th block.
    """
    return model.get_layer(f"block_{number - 1}" if number else "positions").output


def assign(model: keras.Model, arrays: Arrays) -> None:
    """Gives a model of `build` its weights.

    Args:
        model: The model.
        arrays: Tensors by the names of `names`.

    Raises:
        KeyError: If a tensor is missing.
        ValueError: If a tensor has another shape.
    """
    for variable, value in _pairs(model, arrays):
        if tuple(variable.shape) != value.shape:
            raise ValueError(f"{value.shape} is not {tuple(variable.shape)}")
        variable.assign(value.astype(np.float32))


def names(config: Config) -> list[str]:
    """Returns the names of all tensors of an encoder."""
    found = ["encoder.embed_positions.weight"]
    found += [f"encoder.{layer}.{part}" for layer in _STEM for part in ("weight", "bias")]
    found += [f"encoder.layer_norm.{part}" for part in ("weight", "bias")]
    for index in range(config.layers):
        for layer in (*_NORMS, *_DENSE):
            found.append(f"encoder.layers.{index}.{layer}.weight")
            if layer != _WITHOUT_BIAS:
                found.append(f"encoder.layers.{index}.{layer}.bias")
    return found


_STEM: Mapping[str, str] = {"conv1": "stem_0", "conv2": "stem_1"}
_NORMS: Mapping[str, str] = {
    "self_attn_layer_norm": "attention_norm",
    "final_layer_norm": "perceptron_norm",
}
_DENSE: Mapping[str, str] = {
    "self_attn.q_proj": "query",
    "self_attn.k_proj": "key",
    "self_attn.v_proj": "value",
    "self_attn.out_proj": "joined",
    "fc1": "wide",
    "fc2": "narrow",
}
_WITHOUT_BIAS = "self_attn.k_proj"


def _pairs(model: keras.Model, arrays: Arrays) -> list[tuple[keras.Variable, npt.NDArray[Any]]]:
    """Returns the variables of a model with their values, in the order of axes that Keras has."""
    vectors = model.get_layer("positions").vectors
    found = [(vectors, arrays["encoder.embed_positions.weight"][: vectors.shape[0]])]
    for name, layer in _STEM.items():
        convolution = model.get_layer(layer)
        kernel = arrays[f"encoder.{name}.weight"]
        found.append((convolution.kernel, kernel.transpose(2, 1, 0)))
        found.append((convolution.bias, arrays[f"encoder.{name}.bias"]))
    norms = [("encoder.layer_norm", model.get_layer("norm"))]
    blocks = [layer for layer in model.layers if isinstance(layer, Block)]
    for index, block in enumerate(blocks):
        prefix = f"encoder.layers.{index}"
        norms += [(f"{prefix}.{name}", getattr(block, layer)) for name, layer in _NORMS.items()]
        for name, layer in _DENSE.items():
            dense = getattr(block, layer)
            found.append((dense.kernel, arrays[f"{prefix}.{name}.weight"].T))
            if name != _WITHOUT_BIAS:
                found.append((dense.bias, arrays[f"{prefix}.{name}.bias"]))
    for name, norm in norms:
        found.append((norm.gamma, arrays[f"{name}.weight"]))
        found.append((norm.beta, arrays[f"{name}.bias"]))
    return found
