"""The tower of a modality, as the network, the training files and late fusion know it."""

import abc
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import keras
import tensorflow as tf

from triad_ml.model.layout import Layout
from triad_ml.model.towers.layers import Tensor
from triad_ml.model.towers.steps import Tokens
from triad_ml.transforms.spec.model import ModelSpec

Tensors = dict[str, Tensor]
Columns = dict[str, tf.io.FixedLenFeature | tf.io.RaggedFeature]
Change: TypeAlias = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""A change of a batch's features by a seed, int32 `[2]`; shape and type stay."""

SMALL = 1e-3
"""Deviation of a new weight of `Tower.linear`. There may be fewer records than weights, and then
what no record moves stays as it was."""


class Words(NamedTuple):
    """The words of texts, for heads that read them beside the joint embedding.

    Attributes:
        sequence: float32 `[batch, length, filters]`.
        known: Which words are there, bool `[batch, length]`.
    """

    sequence: Tensor
    known: Tensor


class Parts(NamedTuple):
    """The parts of a tower that others use too.

    Attributes:
        encoder: See `Tower.encoder`.
        words: See `Tower.words`.
    """

    encoder: keras.Model | None = None
    words: Words | None = None


class Seen(NamedTuple):
    """What a tower says.

    Attributes:
        embedding: float32 `[batch, dim]`.
        steps: Where they were asked for, and the tower has some.
    """

    embedding: Tensor
    steps: Tokens | None = None


class Tower(abc.ABC):
    """One modality in the model.

    Args:
        name: Of the modality, and of its feature.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abc.abstractmethod
    def record_bytes(self, layout: Layout) -> int:
        """About how many bytes the features of a record take, decompressed."""

    @abc.abstractmethod
    def columns(self, layout: Layout) -> Columns:
        """The reading of the features in a record of the training files."""

    @abc.abstractmethod
    def parse(self, columns: Mapping[str, tf.Tensor], layout: Layout) -> dict[str, tf.Tensor]:
        """Makes inputs of the network from what `columns` reads or the feature graph gives."""

    @abc.abstractmethod
    def inputs(self, layout: Layout) -> Tensors:
        """Makes the inputs of the network."""

    @abc.abstractmethod
    def build(self, inputs: Tensors, layout: Layout, parts: Parts, steps: bool) -> Seen:
        """Builds the tower.

        Args:
            inputs: See `inputs`, with `<modality>_present`.
            layout: Names and sizes.
            parts: This tower's.
            steps: The fusion looks at steps.
        """

    def encoder(self, layout: Layout) -> keras.Model | None:
        """The pretrained network that becomes a part of the tower, where there is one.

        Raises:
            OptionsError, StorageError: Where its weights cannot be used.
        """
        return None

    def words(self, inputs: Tensors, layout: Layout) -> Words | None:
        """Builds the part of the tower that reads words; None where the modality has none."""
        return None

    def augmentation(self, values: tf.Tensor) -> Change | None:
        """The change of the modality's feature in training; None where it stays as it is."""
        return None

    def view(self, inputs: Tensors, layout: Layout, encoder: keras.Model | None) -> Tensor:
        """Builds the tensor whose linear function the modality's logits are in late fusion."""
        parts = Parts(encoder, self.words(inputs, layout))
        return self.build(inputs, layout, parts, steps=False).embedding

    def linear(self, view: Tensor, size: int, spec: ModelSpec, layer: str) -> Tensor:
        """Builds the linear function of `view`, to float32 `[batch, size]`.

        Args:
            view: See `view`.
            size: Number of classes.
            spec: Gives `dropout`.
            layer: Name of the layer.
        """
        dropped = keras.layers.Dropout(spec.dropout, name=f"{layer}_dropout")(view)
        initial = keras.initializers.RandomNormal(stddev=SMALL)
        return keras.layers.Dense(size, kernel_initializer=initial, dtype="float32", name=layer)(
            dropped
        )
