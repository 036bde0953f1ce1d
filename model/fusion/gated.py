"""Gated fusion: a learned softmax weight for each modality."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from triad_ml.model.fusion.missing import Shape, Tensor


@keras.saving.register_keras_serializable(package="triad")
class GatedFusion(keras.layers.Layer):
    """Sum of the projected modalities, weighted by a learned gate, plus an interaction of them.

    Takes a list of embeddings, float32 `[batch, dim_i]`, one per modality, and the mask of the
    modalities that are present, bool `[batch, modalities]`. A missing modality has a learned
    embedding. The softmax gate and the interaction layer read all embeddings and the mask.

    Returns float32 `[batch, dim]`.

    Args:
        dim: Size of the joint embedding.
    """

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, embeddings_shape: Sequence[Shape], present_shape: Shape) -> None:
        width = sum(shape[-1] or 0 for shape in embeddings_shape)
        context_shape = (None, width + len(embeddings_shape))
        self.projections = [keras.layers.Dense(self.dim) for _ in embeddings_shape]
        for projection, shape in zip(self.projections, embeddings_shape, strict=True):
            projection.build(shape)
        if len(embeddings_shape) > 1:
            self.gate = keras.layers.Dense(len(embeddings_shape))
            self.gate.build(context_shape)
        self.interaction = keras.layers.Dense(self.dim, activation="relu")
        self.interaction.build(context_shape)
        self.normalization = keras.layers.LayerNormalization()
        self.normalization.build((None, self.dim))

    def call(self, embeddings: Sequence[Tensor], present: Tensor) -> Tensor:
        projected = [f(x) for f, x in zip(self.projections, embeddings, strict=True)]
        context = ops.concatenate([*embeddings, ops.cast(present, "float32")], axis=-1)
        return self.normalization(self._gated(projected, context) + self.interaction(context))

    def _gated(self, projected: Sequence[Tensor], context: Tensor) -> Tensor:
        if len(projected) == 1:
            return projected[0]
        shares = ops.softmax(self.gate(context), axis=-1)
        return ops.sum(shares[:, :, None] * ops.stack(projected, axis=1), axis=1)

    def compute_output_shape(
        self, embeddings_shape: Sequence[Shape], present_shape: Shape
    ) -> Shape:
        return (embeddings_shape[0][0], self.dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim}
