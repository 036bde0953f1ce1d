"""Missing modalities: dropout of modalities in training, and learned stand-in embeddings."""

from typing import Any, TypeAlias

import keras
from keras import ops

Tensor: TypeAlias = keras.KerasTensor
Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable(package="triad")
class ModalityDropout(keras.layers.Layer):
    """Hides modalities at random in training, so that the model learns to do without each.

    Takes which modalities are there, bool `[batch, modalities]`, and returns which are to be used.
    A row that has a modality keeps at least one. Changes nothing outside of training.

    Args:
        rate: Probability, per row, with which each modality that is there is hidden.
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
        favourite = ops.argmax(ops.where(present, draws, -1.0), axis=-1)
        alone = ops.one_hot(favourite, self.num_modalities, dtype="bool")
        none = ops.logical_not(ops.any(kept, axis=-1, keepdims=True))
        return ops.logical_or(kept, ops.logical_and(ops.logical_and(alone, none), present))

    def compute_output_spec(self, present: Tensor, training: bool = False) -> Tensor:
        return keras.KerasTensor(present.shape, dtype="bool")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable(package="triad")
class MissingEmbedding(keras.layers.Layer):
    """Puts a learned vector in the place of the embedding of what is missing, row by row.

    Takes an embedding, float32 `[batch, dim]`, and which rows have one, bool `[batch]`.
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
