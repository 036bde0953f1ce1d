"""Transformer encoder of BERT, DistilBERT, RoBERTa and XLM-R as a Keras model.

Each layer normalizes after its residual connections. All weights are variables.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import keras
from keras import ops

from triad_ml.transforms.encoders.texts.config import Activation, TextConfig

Tensor: TypeAlias = keras.KerasTensor

PADDING = -1
"""Id behind the end of a text; the id with which a tokenizer pads may be that of a piece."""

_HIDDEN = -1e9
"""Logit of a piece behind the end of a text; its weight after softmax is exactly 0."""


def _gelu(numbers: Tensor) -> Tensor:
    return ops.gelu(numbers, approximate=False)


def _gelu_by_tanh(numbers: Tensor) -> Tensor:
    return ops.gelu(numbers, approximate=True)


ACTIVATIONS: Mapping[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": _gelu,
    "gelu_python": _gelu,
    "gelu_new": _gelu_by_tanh,
    "gelu_fast": _gelu_by_tanh,
    "gelu_pytorch_tanh": _gelu_by_tanh,
    "relu": ops.relu,
    "silu": ops.silu,
    "swish": ops.silu,
}
"""Activations by the names of Hugging Face Transformers."""


def build(config: TextConfig) -> keras.Model:
    """Builds the encoder with weights of zero.

    Its layers are `embeddings` and `layer_0`, `layer_1`, ...; see `Embeddings` and `Block` for
    their weights.

    Args:
        config: Sizes and constants.

    Returns:
        Model from ids of pieces, int32 `[batch, length]`, with `PADDING` behind the end of a text,
        to a vector for each piece, float32 `[batch, length, width]`; vectors behind the end have no
        meaning.
    """
    ids = keras.Input((None,), dtype="int32", name="ids")
    known = ops.not_equal(ids, PADDING)
    vectors = Embeddings(config, name="embeddings")(ids, known)
    for number in range(config.layers):
        vectors = Block(config, name=f"layer_{number}")(vectors, known)
    return keras.Model(ids, vectors, name="text_encoder")


def freeze(network: keras.Model, layers: int) -> None:
    """Excludes the first layers from training, and the vectors of the vocabulary in any case.

    The vectors of the vocabulary are half of the weights. Those of pieces that the training data
    lack would no longer fit the others.

    Args:
        network: Model from `build`.
        layers: Number of layers to exclude; from 1 on, with all embeddings.
    """
    embeddings = network.get_layer("embeddings")
    if layers:
        embeddings.trainable = False
    embeddings.words.trainable = False
    for number in range(min(layers, embeddings.config.layers)):
        network.get_layer(f"layer_{number}").trainable = False


@keras.saving.register_keras_serializable(package="triad_texts")
class Embeddings(keras.layers.Layer):
    """Sum of the vectors of pieces, positions and token type 0, normalized.

    Attributes:
        words: Vectors of the vocabulary, `[vocabulary, width]`.
        positions: Vectors of positions, `[positions, width]`.
        types: Vectors of token types, `[types, width]`, or None.
        normalization: Layer normalization.

    Args:
        config: Sizes and constants.
    """

    def __init__(self, config: TextConfig | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = _config(config)
        self.words = _vectors(self.config.vocabulary, self.config, "words")
        self.positions = _vectors(self.config.positions, self.config, "positions")
        self.types = (
            _vectors(self.config.types, self.config, "types") if self.config.types else None
        )
        self.normalization = _normalization(self.config, "normalization")
        self.dropout = keras.layers.Dropout(self.config.dropout, name="dropout")

    def build(self, ids_shape: Any, known_shape: Any) -> None:
        for layer in (self.words, self.positions, self.types):
            if layer is not None:
                layer.build(ids_shape)
        self.normalization.build((*ids_shape, self.config.width))

    def call(self, ids: Tensor, known: Tensor, training: bool = False) -> Tensor:
        places = ops.cumsum(ops.ones_like(ids), axis=1) + (self.config.first_position - 1)
        # Only places behind the end of a text have no position.
        places = ops.minimum(places, self.config.positions - 1)
        vectors = self.words(ops.where(known, ids, 0))
        if self.types is not None:
            vectors = vectors + self.types(ops.zeros_like(ids))
        vectors = self.normalization(vectors + self.positions(places))
        return self.dropout(vectors, training=training)

    def compute_output_spec(self, ids: Tensor, known: Tensor, training: bool = False) -> Tensor:
        return keras.KerasTensor((*ids.shape, self.config.width), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": dataclasses.asdict(self.config)}


@keras.saving.register_keras_serializable(package="triad_texts")
class Block(keras.layers.Layer):
    """Layer of the encoder: self-attention, then two dense layers, each with a residual connection.

    Attributes:
        query, key, value, joined: Dense layers of the attention, from `width` to `width`.
        attended: Normalization after the attention.
        inner, outer: Dense layers from `width` to `inner` and back.
        normalization: Normalization after them.

    Args:
        config: Sizes and constants.
    """

    def __init__(self, config: TextConfig | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = _config(config)
        width = self.config.width
        self.query, self.key, self.value, self.joined = (
            _dense(width, name) for name in ("query", "key", "value", "joined")
        )
        self.attended = _normalization(self.config, "attended")
        self.inner = _dense(self.config.inner, "inner")
        self.outer = _dense(width, "outer")
        self.normalization = _normalization(self.config, "normalization")
        self.dropout = keras.layers.Dropout(self.config.dropout, name="dropout")
        self.joined_dropout = keras.layers.Dropout(
            self.config.joined_dropout, name="joined_dropout"
        )
        self.attention_dropout = keras.layers.Dropout(
            self.config.attention_dropout, name="attention_dropout"
        )

    def build(self, vectors_shape: Any, known_shape: Any) -> None:
        width = (None, self.config.width)
        for layer in (self.query, self.key, self.value, self.joined, self.inner):
            layer.build(width)
        self.outer.build((None, self.config.inner))
        for layer in (self.attended, self.normalization):
            layer.build(width)

    def call(self, vectors: Tensor, known: Tensor, training: bool = False) -> Tensor:
        shape = ops.shape(vectors)
        # Products of two matrices are faster than those of a batch with a matrix.
        flat = ops.reshape(vectors, (-1, self.config.width))
        mixed = self.joined(self._attention(flat, known, shape, training))
        flat = self.attended(flat + self.joined_dropout(mixed, training=training))
        wide = ACTIVATIONS[self.config.activation](self.inner(flat))
        outer = self.dropout(self.outer(wide), training=training)
        return ops.reshape(self.normalization(flat + outer), shape)

    def _attention(self, flat: Tensor, known: Tensor, shape: Any, training: bool) -> Tensor:
        """Computes self-attention, float32 `[batch * length, width]`."""
        heads = self.config.heads
        size = self.config.width // heads
        split = (shape[0], shape[1], heads, size)
        query, key, value = (
            ops.transpose(ops.reshape(layer(flat), split), (0, 2, 1, 3))
            for layer in (self.query, self.key, self.value)
        )
        logits = ops.matmul(query * size**-0.5, ops.transpose(key, (0, 1, 3, 2)))
        logits = ops.where(known[:, None, None, :], logits, _HIDDEN)
        weights = self.attention_dropout(ops.softmax(logits), training=training)
        joined = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        return ops.reshape(joined, (-1, self.config.width))

    def compute_output_spec(self, vectors: Tensor, known: Tensor, training: bool = False) -> Tensor:
        return keras.KerasTensor(vectors.shape, dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": dataclasses.asdict(self.config)}


def _config(config: TextConfig | Mapping[str, Any]) -> TextConfig:
    """Returns a configuration; `get_config` makes a mapping of it."""
    return config if isinstance(config, TextConfig) else TextConfig(**config)


def _vectors(count: int, config: TextConfig, name: str) -> keras.layers.Embedding:
    return keras.layers.Embedding(count, config.width, embeddings_initializer="zeros", name=name)


def _dense(units: int, name: str) -> keras.layers.Dense:
    return keras.layers.Dense(units, kernel_initializer="zeros", name=name)


def _normalization(config: TextConfig, name: str) -> keras.layers.LayerNormalization:
    return keras.layers.LayerNormalization(epsilon=config.epsilon, name=name)
