"""Hashed n-grams of tokens: a bag of short token sequences, as linear text models use it."""

from typing import Any, TypeAlias

import keras
from keras import ops

from triad_ml.model.towers import layers
from triad_ml.transforms.features.ids import PAD
from triad_ml.transforms.spec.model import ModelSpec

Tensor: TypeAlias = keras.KerasTensor
Shape = tuple[int | None, ...]

SIZES = (2, 3, 4)
"""Lengths of the n-grams, in tokens."""

_FACTOR = 0x2545F4914F6CDD1D  # odd, below 2**63, with bits that look random


@keras.saving.register_keras_serializable(package="triad")
class HashedNgrams(keras.layers.Layer):
    """Sum of the vectors of all n-grams of a text, divided by the square root of their number.

    A fixed hash of an n-gram's token ids selects one of `buckets` learned vectors. Takes token ids,
    int64 `[batch, length]`, and their mask, bool `[batch, length]`; returns float32 `[batch, dim]`,
    zeros for a text without n-grams.

    Args:
        buckets: Number of vectors.
        dim: Size of each vector.
        deviation: Standard deviation of the initial vectors; None gives them about unit length.
        dropout: Share of the n-grams that is dropped in training.
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
            present = ops.cast(_whole(known, size), "float32")
            vectors = ops.take(self.vectors, _buckets(ids, size, self.buckets), axis=0)
            kept = present if self.dropping is None else self.dropping(present, training=training)
            total += ops.sum(vectors * kept[:, :, None], axis=1)
            count += ops.sum(present, axis=1)
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
    """Builds the text tower with hashed n-grams in addition to the convolutions.

    Args:
        tokens: Token ids, int64 `[batch, length]`.
        present: Mask of the rows that have a text, bool `[batch]`.
        grams: Word vectors from `text.text_sequence`, float32 `[batch, length, filters]`.
        spec: Section `model` of the spec, with `text_ngrams`, `dim` and `dropout`.

    Returns:
        Embedding, float32 `[batch, dim]`.
    """
    masked = layers.MaskMissing(name="text_ngrams_masked")(tokens, present)
    is_token = known(masked)
    pooled = layers.MaskedPooling(name="text_pooled")(grams, is_token)
    hashed = HashedNgrams(spec.text_ngrams, spec.dim, name="text_ngrams")(masked, is_token)
    both = keras.layers.Concatenate(name="text_views")([pooled, hashed])
    return layers.embedding(both, spec, "text")


def known(tokens: Tensor) -> Tensor:
    """Returns the mask of the tokens, bool `[batch, length]`, False at padding."""
    return ops.not_equal(tokens, PAD)


def _whole(known: Tensor, size: int) -> Tensor:
    """Marks the starts of n-grams without padding, bool `[batch, length - size + 1]`."""
    length = known.shape[1] - size + 1
    return ops.all(ops.stack([known[:, i : i + length] for i in range(size)]), axis=0)


def _buckets(ids: Tensor, size: int, buckets: int) -> Tensor:
    """Hashes each n-gram to a bucket, int64 `[batch, length - size + 1]`; products wrap around."""
    length = ids.shape[1] - size + 1
    mixed = ops.full_like(ids[:, :length], size)
    for offset in range(size):
        mixed = (mixed + ids[:, offset : offset + length]) * _FACTOR
        mixed = ops.bitwise_xor(mixed, ops.right_shift(mixed, 29))
    return ops.mod(mixed, buckets)
