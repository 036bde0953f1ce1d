"""Fusion by attention among words, patches of an image and moments of an audio clip."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import keras
from keras import ops

from triad_ml.model.towers.sequences import AttentionBlock

Tensor: TypeAlias = keras.KerasTensor
Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable(package="triad")
class AttentionFusion(keras.layers.Layer):
    """Attention over the tokens of all modalities, pooled to the joint embedding.

    Each modality has one token of its own, which is its embedding, or the learned one if it is
    missing, and one token for each step of its tower. The steps of a missing modality are masked,
    and none of their values, NaN included, reaches the output. A modality that all rows lack may
    have 0 steps. The first block attends over all tokens; in the second each modality's own token
    attends to all. The mean of the own tokens is the joint embedding.

    Takes a list of embeddings, float32 `[batch, dim_i]`, the mask of those that are present, bool
    `[batch, modalities]`, and for the modalities in `of`, if any, the parts of `Tokens`, as two
    lists. Returns float32 `[batch, dim]`.

    Args:
        dim: Size of tokens and of the joint embedding.
        of: Indices, among the modalities, of those that have steps.
    """

    def __init__(self, dim: int, of: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim
        self.of = tuple(of)

    def build(
        self,
        embeddings_shape: Sequence[Shape],
        present_shape: Shape,
        values_shape: Sequence[Shape] = (),
        known_shape: Sequence[Shape] = (),
    ) -> None:
        self.own = [keras.layers.Dense(self.dim) for _ in embeddings_shape]
        self.steps = [keras.layers.Dense(self.dim) for _ in values_shape]
        for layer, shape in zip(
            (*self.own, *self.steps), (*embeddings_shape, *values_shape), strict=True
        ):
            layer.build(shape)
        # Small: at first a token's content weighs more than its position.
        small = keras.initializers.RandomNormal(stddev=0.05)
        self.places = [
            self.add_weight(shape=(shape[1], self.dim), initializer=small, name=f"places_{place}")
            for place, shape in zip(self.of, values_shape, strict=True)
        ]
        count = len(self.own)
        total = count + sum(shape[1] or 0 for shape in values_shape)
        whole, own = (None, total, self.dim), (None, count, self.dim)
        self.blocks = [AttentionBlock(self.dim) for _ in range(2)]
        self.blocks[0].build(whole, whole, (None, total))
        self.blocks[1].build(own, whole, (None, total))
        self.normalization = keras.layers.LayerNormalization()
        self.normalization.build((None, self.dim))

    def call(
        self,
        embeddings: Sequence[Tensor],
        present: Tensor,
        values: Sequence[Tensor] = (),
        known: Sequence[Tensor] = (),
    ) -> Tensor:
        own = [layer(one) for layer, one in zip(self.own, embeddings, strict=True)]
        tokens, seen = [ops.stack(own, axis=1)], [ops.ones_like(present)]
        for place, layer, where, steps, there in zip(
            self.of, self.steps, self.places, values, known, strict=True
        ):
            there = ops.logical_and(there, present[:, place : place + 1])
            held = layer(ops.where(there[:, :, None], steps, 0.0))
            tokens.append(held + where[: steps.shape[1]])
            seen.append(there)
        joined, visible = ops.concatenate(tokens, axis=1), ops.concatenate(seen, axis=1)
        joined = self.blocks[0](joined, joined, visible)
        read = self.blocks[1](joined[:, : len(own)], joined, visible)
        return self.normalization(ops.mean(read, axis=1))

    def compute_output_shape(
        self,
        embeddings_shape: Sequence[Shape],
        present_shape: Shape,
        values_shape: Sequence[Shape] = (),
        known_shape: Sequence[Shape] = (),
    ) -> Shape:
        return (embeddings_shape[0][0], self.dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim, "of": list(self.of)}
