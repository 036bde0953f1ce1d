"""Missing modalities: modality dropout in training, and learned embeddings for missing ones."""

from typing import Any, TypeAlias

import keras
from keras import ops

Tensor: TypeAlias = keras.KerasTensor
Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable(package="triad")
class ModalityDropout(keras.layers.Layer):
    """Random hiding of modalities in training, so that the model learns to predict without them.

    Takes the mask of the modalities that are present, bool `[batch, modalities]`, and returns the
    mask of those to use. A row that has any modality keeps at least one. Outside of training the
    mask stays as it is.

    Args:
        rate: Probability with which each present modality of a row is hidden.
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, input_shape: Shape) -> None:
        self.num_modalities = input_shape[-1]

    def call(self, present: Tensor, training: bool = False) -> Tensor:
        if not training or not self.rate:
            return present
        draws = keras.random.uniform(ops.shape(present), seed=self.seed_generator)
        kept = ops.logical_and(present, draws >= self.rate)
        highest = ops.argmax(ops.where(present, draws, -1.0), axis=-1)
        alone = ops.one_hot(highest, self.num_modalities, dtype="bool")
        none = ops.logical_not(ops.any(kept, axis=-1, keepdims=True))
        return ops.logical_or(kept, ops.logical_and(ops.logical_and(alone, none), present))

    def compute_output_spec(self, present: Tensor, training: bool = False) -> Tensor:
        return keras.KerasTensor(present.shape, dtype="bool")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable(package="triad")
class MissingEmbedding(keras.layers.Layer):
    """Learned vector that replaces the embedding of a missing modality, row by row.

    Takes an embedding, float32 `[batch, dim]`, and the mask of the rows that have the modality,
    bool `[batch]`; returns float32 `[batch, dim]`.
    """

    def build(self, embedding_shape: Shape, present_shape: Shape) -> None:
        self.vector = self.add_weight(
            shape=(embedding_shape[-1],), initializer=_small(), name="missing"
        )

    def call(self, embedding: Tensor, present: Tensor) -> Tensor:
        return ops.where(present[:, None], embedding, self.vector)

    def compute_output_shape(self, embedding_shape: Shape, present_shape: Shape) -> Shape:
        return embedding_shape


def _small() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=0.05)
