"""Texts by the sequences of tokens that stand in them, wherever: what a linear model is good at."""

from typing import Any, TypeAlias

import keras
from keras import ops

from triad_ml.model.towers import layers
from triad_ml.transforms.features.ids import PAD
from triad_ml.transforms.spec.model import ModelSpec

Tensor: TypeAlias = keras.KerasTensor
Shape = tuple[int | None, ...]

SIZES = (2, 3, 4)
"""How many neighbouring tokens make a sequence that counts."""

_FACTOR = 0x2545F4914F6CDD1D  # odd, below 2**63, and its bits look random


@keras.saving.register_keras_serializable(package="triad")
class HashedNgrams(keras.layers.Layer):
    """The sum of the vectors of all short sequences of tokens, over the root of their number.

    Which of `buckets` vectors a sequence has follows from a fixed hash of its ids. Takes token ids,
    int64 `[batch, length]`, and which of them are there, bool `[batch, length]`; returns float32
    `[batch, dim]`, zeros where there is no token.

    Args:
        buckets: Number of vectors.
        dim: Size of each.
        deviation: Of the numbers in a new vector; by default one that gives it unit length.
        dropout: Share of the sequences that are left out in training.
    """

    def __init__(
        self,
        buckets: int,
        dim: int,
        deviation: float | None = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.buckets = buckets
        self.dim = dim
        self.deviation = deviation
        self.dropout = dropout
        self.dropping = keras.layers.Dropout(dropout) if dropout else None

    def build(self, ids_shape: Shape, known_shape: Shape) -> None:
        self.vectors = self.add_weight(
            shape=(self.buckets, self.dim),
            initializer=keras.initializers.RandomNormal(stddev=self.deviation or self.dim**-0.5),
            name="vectors",
        )

    def call(self, ids: Tensor, known: Tensor, training: bool = False) -> Tensor:
        total: Any = 0.0
        count: Any = 0.0
        for size in SIZES:
            there = ops.cast(_whole(known, size), "float32")
            vectors = ops.take(self.vectors, _buckets(ids, size, self.buckets), axis=0)
            kept = there if self.dropping is None else self.dropping(there, training=training)
            total += ops.sum(vectors * kept[:, :, None], axis=1)
            count += ops.sum(there, axis=1)
        return total * ops.rsqrt(ops.maximum(count, 1.0))[:, None]

    def compute_output_shape(self, ids_shape: Shape, known_shape: Shape) -> Shape:
        return (ids_shape[0], self.dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "buckets": self.buckets,
            "dim": self.dim,
            "deviation": self.deviation,
            "dropout": self.dropout,
        }


def text_tower(tokens: Tensor, present: Tensor, grams: Tensor, spec: ModelSpec) -> Tensor:
    """The text's tower with a view of hashed sequences beside that of the convolutions.

    Args:
        tokens: Ids, int64 `[batch, length]`.
        present: bool `[batch]`.
        grams: What `towers.text_sequence` gives, float32 `[batch, length, filters]`.
        spec: Gives `text_ngrams`, `dim` and `dropout`.

    Returns:
        float32 `[batch, dim]`.
    """
    masked = layers.MaskMissing(name="text_ngrams_masked")(tokens, present)
    there = known(masked)
    pooled = layers.MaskedPooling(name="text_pooled")(grams, there)
    hashed = HashedNgrams(spec.text_ngrams, spec.dim, name="text_ngrams")(masked, there)
    both = keras.layers.Concatenate(name="text_views")([pooled, hashed])
    return layers.embedding(both, spec, "text")


def known(tokens: Tensor) -> Tensor:
    """Where there is a token, bool `[batch, length]`."""
    return ops.not_equal(tokens, PAD)


def _whole(known: Tensor, size: int) -> Tensor:
    """Where a sequence of so many tokens begins, bool `[batch, length - size + 1]`."""
    length = known.shape[1] - size + 1
    return ops.all(ops.stack([known[:, i : i + length] for i in range(size)]), axis=0)


def _buckets(ids: Tensor, size: int, buckets: int) -> Tensor:
    """The bucket of each sequence, int64 `[batch, length - size + 1]`; products wrap around."""
    length = ids.shape[1] - size + 1
    mixed = ops.full_like(ids[:, :length], size)
    for place in range(size):
        mixed = (mixed + ids[:, place : place + length]) * _FACTOR
        mixed = ops.bitwise_xor(mixed, ops.right_shift(mixed, 29))
    return ops.mod(mixed, buckets)
