"""Vectors of a text's tokens in context: recurrent layers or self-attention over the tokens."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from triad_ml.model.towers.layers import Shape, Tensor
from triad_ml.transforms.spec.model import ModelSpec

HEADS = 4
"""Number of heads of each attention layer."""

DEPTH = 2
"""Number of blocks of the transformer."""

CELLS: Mapping[str, type[keras.layers.RNN]] = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}
"""Recurrent layers by their names in the key `model.text_tower` of a spec."""


@keras.saving.register_keras_serializable(package="triad")
class AttentionBlock(keras.layers.Layer):
    """Multi-head attention and a perceptron, each with a normalization before it and a residual.

    Takes queries, float32 `[batch, queries, dim]`, tokens, float32 `[batch, tokens, dim]`, and a
    mask of the tokens that may be attended to, bool `[batch, tokens]`; returns float32
    `[batch, queries, dim]`.

    Args:
        dim: Size of each token.
    """

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, queries_shape: Shape, tokens_shape: Shape, known_shape: Shape) -> None:
        self.attention = keras.layers.MultiHeadAttention(HEADS, max(self.dim // HEADS, 1))
        self.attention.build(queries_shape, tokens_shape)
        self.hidden = keras.layers.Dense(2 * self.dim, activation="relu")
        self.hidden.build(queries_shape)
        self.output_layer = keras.layers.Dense(self.dim)
        self.output_layer.build((*queries_shape[:-1], 2 * self.dim))
        self.normalizations = [keras.layers.LayerNormalization() for _ in range(3)]
        for layer in self.normalizations:
            layer.build((None, None, self.dim))

    def call(self, queries: Tensor, tokens: Tensor, known: Tensor) -> Tensor:
        of_queries, of_tokens, of_sums = self.normalizations
        seen = self.attention(
            of_queries(queries), of_tokens(tokens), attention_mask=known[:, None, :]
        )
        sums = queries + seen
        return sums + self.output_layer(self.hidden(of_sums(sums)))

    def compute_output_shape(
        self, queries_shape: Shape, tokens_shape: Shape, known_shape: Shape
    ) -> Shape:
        return queries_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim}


@keras.saving.register_keras_serializable(package="triad")
class Recurrent(keras.layers.Layer):
    """Recurrent layers from either end of a sequence, side by side.

    Takes float32 `[batch, steps, width]` and the mask of the steps, bool `[batch, steps]`; returns
    float32 `[batch, steps, 2 * units]`. Steps outside the mask change no other step.

    Args:
        kind: Key of `CELLS`.
        units: Size of the state in each direction.
    """

    def __init__(self, kind: str, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.units = units

    def build(self, sequence_shape: Shape, known_shape: Shape) -> None:
        # Without cuDNN: its op would be in the graph that a GPU exports, and no CPU has it.
        settings: dict[str, Any] = {"return_sequences": True, "use_cudnn": False}
        layer = CELLS[self.kind]
        self.forwards = layer(self.units, name="forwards", **settings)
        self.backwards = layer(self.units, name="backwards", go_backwards=True, **settings)
        for one in (self.forwards, self.backwards):
            one.build(sequence_shape)

    def call(self, sequence: Tensor, known: Tensor) -> Tensor:
        before = self.forwards(sequence, mask=known)
        # One loop after the other: side by side, products may be split otherwise in each call.
        with tf.control_dependencies([before]):
            sequence = tf.identity(sequence)
        after = ops.flip(self.backwards(sequence, mask=known), axis=1)
        return ops.concatenate([before, after], axis=-1)

    def compute_output_shape(self, sequence_shape: Shape, known_shape: Shape) -> Shape:
        return (*sequence_shape[:-1], 2 * self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind, "units": self.units}


@keras.saving.register_keras_serializable(package="triad")
class Places(keras.layers.Layer):
    """Adds a learned vector for each position to a sequence, float32 `[batch, steps, width]`."""

    def build(self, sequence_shape: Shape) -> None:
        # Small: at first a token's content weighs more than its position.
        small = keras.initializers.RandomNormal(stddev=0.05)
        self.vectors = self.add_weight(shape=sequence_shape[1:], initializer=small, name="vectors")

    def call(self, sequence: Tensor) -> Tensor:
        return sequence + self.vectors

    def compute_output_shape(self, sequence_shape: Shape) -> Shape:
        return sequence_shape


def recurrent(kind: str, embedded: Tensor, known: Tensor, spec: ModelSpec) -> Tensor:
    """Builds word vectors by recurrent layers in both directions.

    Args:
        kind: Key of `CELLS`.
        embedded: Token vectors, float32 `[batch, length, text_dim]`.
        known: Mask of the tokens, bool `[batch, length]`.
        spec: Section `model` of the spec, with `text_dim`.

    Returns:
        float32 `[batch, length, 2 * text_dim]`.
    """
    return Recurrent(kind, spec.text_dim, name=f"text_{kind}")(embedded, known)


def transformer(embedded: Tensor, known: Tensor, spec: ModelSpec) -> Tensor:
    """Builds word vectors by self-attention, float32 `[batch, length, text_dim]`.

    The arguments are those of `recurrent`.
    """
    words = Places(name="text_places")(embedded)
    for place in range(DEPTH):
        words = AttentionBlock(spec.text_dim, name=f"text_block_{place}")(words, words, known)
    return keras.layers.LayerNormalization(name="text_blocks_normalized")(words)
