"""Interface of a modality's tower: its features, its inputs, its layers and its augmentation."""

import abc
from collections.abc import Callable, Collection, Mapping
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
"""Function that changes a batch's feature by a seed, int32 `[2]`; shape and dtype stay."""

SMALL = 1e-3
"""Standard deviation of the initial weights of `Tower.linear`.

It is small because there may be fewer records than weights: a weight that no record changes keeps
its initial value.
"""


class Words(NamedTuple):
    """Words of texts, for heads that read them in addition to the joint embedding.

    Attributes:
        sequence: Word vectors, float32 `[batch, length, filters]`.
        known: Mask of the words, bool `[batch, length]`.
    """

    sequence: Tensor
    known: Tensor


class Parts(NamedTuple):
    """Parts of a tower that other parts of the network use too.

    Attributes:
        encoder: Pretrained network in the tower, or None; see `Tower.encoder`.
        words: Word vectors of the tower, or None.
        pieces: Vectors of the pieces that a pretrained text encoder reads, and their mask, or None.
    """

    encoder: keras.Layer | None = None
    words: Words | None = None
    pieces: Words | None = None


class Seen(NamedTuple):
    """Outputs of a tower.

    Attributes:
        embedding: Embedding of the medium, float32 `[batch, dim]`.
        steps: Tokens for a fusion that reads them; None if not requested, or if the tower has none.
    """

    embedding: Tensor
    steps: Tokens | None = None


class Tower(abc.ABC):
    """Tower of one modality.

    Args:
        name: Name of the modality, and of its feature.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abc.abstractmethod
    def record_bytes(self, layout: Layout) -> int:
        """Estimates the decompressed size of a record's features, in bytes."""

    @abc.abstractmethod
    def columns(self, layout: Layout) -> Columns:
        """Describes the features of the training files for `tf.io.parse_example`."""

    @abc.abstractmethod
    def parse(self, columns: Mapping[str, tf.Tensor], layout: Layout) -> dict[str, tf.Tensor]:
        """Converts parsed `columns`, or outputs of the feature graph, to inputs of the network."""

    @abc.abstractmethod
    def inputs(self, layout: Layout) -> Tensors:
        """Creates the Keras inputs of the network."""

    @abc.abstractmethod
    def build(self, inputs: Tensors, layout: Layout, parts: Parts, steps: bool) -> Seen:
        """Builds the tower.

        Args:
            inputs: Inputs of the network; see `inputs`, with `<modality>_present`.
            layout: Layout with the spec and the vocabulary size.
            parts: Encoder and words of this tower, already built.
            steps: True if the fusion reads tokens.
        """

    def vector_width(self, layout: Layout) -> int | None:
        """Returns the width of the feature if it is a frozen encoder's vector; otherwise None."""
        return None

    def encoder(self, layout: Layout) -> keras.Layer | None:
        """Loads the pretrained network that becomes part of the tower; None if there is none.

        Raises:
            OptionsError, StorageError: If its weights cannot be used.
        """
        return None

    def frozen_epochs(self, layout: Layout) -> int:
        """Returns the number of epochs during which the network of `encoder` is not trained."""
        return 0

    def parts(self, inputs: Tensors, layout: Layout, encoder: keras.Layer | None) -> Parts:
        """Builds the parts of the tower that come before it.

        Args:
            inputs: Inputs of the network; see `inputs`, with `<modality>_present`.
            layout: Layout with the spec and the vocabulary size.
            encoder: Pretrained network from `encoder`.
        """
        return Parts(encoder)

    def augmentation(self, values: tf.Tensor, changes: Collection[str]) -> Change | None:
        """Returns the augmentation of the modality's feature; None if there is none.

        Args:
            values: Feature of a batch.
            changes: Names of the changes to make, see `transforms.spec.training.Augment`.
        """
        return None

    def view(self, inputs: Tensors, layout: Layout, encoder: keras.Layer | None) -> Tensor:
        """Builds the input of `linear`, from which late fusion computes the modality's logits."""
        parts = self.parts(inputs, layout, encoder)
        return self.build(inputs, layout, parts, steps=False).embedding

    def linear(self, view: Tensor, size: int, spec: ModelSpec, layer: str) -> Tensor:
        """Builds the modality's logits for late fusion, float32 `[batch, size]`, linear in `view`.

        Args:
            view: Output of the method `view`.
            size: Number of classes.
            spec: Section `model` of the spec, with `dropout`.
            layer: Name of the layer.
        """
        dropped = keras.layers.Dropout(spec.dropout, name=f"{layer}_dropout")(view)
        initial = keras.initializers.RandomNormal(stddev=SMALL)
        return keras.layers.Dense(size, kernel_initializer=initial, dtype="float32", name=layer)(
            dropped
        )
