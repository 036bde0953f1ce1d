"""Views: fixed-size vectors of a modality's features, which linear models read.

A view computes; it learns nothing. Each row's vector depends on that row alone.
"""

import abc
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy import sparse

from triad_ml.model.layout import Layout
from triad_ml.model.towers.base import Columns
from triad_ml.model.towers.registry import TOWERS
from triad_ml.model.towers.statistics import pooled
from triad_ml.transforms.features.grams import BUCKETS, GRAMS, grams_length
from triad_ml.transforms.features.pieces.values import VECTOR

Floats = npt.NDArray[np.float32]

SIDE, COLOURS, CELLS, ORIENTATIONS = 96, 4, 8, 9
"""Largest side of an image that is described; larger ones are reduced to it. Levels of each colour
channel; cells of a side; directions of gradients in a cell."""


class View(abc.ABC):
    """The view of one modality."""

    def sparse(self, layout: Layout) -> bool:
        """Returns True where vectors are counts of n-grams, of which few are not 0."""
        return False

    @abc.abstractmethod
    def feature(self, layout: Layout) -> str:
        """Returns the name of the feature that the view reads."""

    @abc.abstractmethod
    def columns(self, layout: Layout) -> Columns:
        """Describes the features in the training files that the view reads."""

    @abc.abstractmethod
    def vectors(self, columns: Mapping[str, tf.Tensor], layout: Layout) -> tf.Tensor:
        """Computes a batch's vectors, float32 `[batch, width]`; of n-grams their numbers."""

    def described(self, feature: tf.Tensor) -> tf.Tensor:
        """Computes the vectors of a feature as the network takes it."""
        return feature


class Image(View):
    """Vectors of a frozen encoder, or colours and gradients of the pixels."""

    def feature(self, layout: Layout) -> str:
        return "image"

    def columns(self, layout: Layout) -> Columns:
        return TOWERS["image"].columns(layout)

    def vectors(self, columns: Mapping[str, tf.Tensor], layout: Layout) -> tf.Tensor:
        return self.described(TOWERS["image"].parse(columns, layout)["image"])

    def described(self, feature: tf.Tensor) -> tf.Tensor:
        return feature if feature.shape.rank == 2 else colours_and_gradients(feature)


class Audio(View):
    """Statistics of each mel bin over time; vectors of a frozen encoder; drawn spectrograms."""

    def feature(self, layout: Layout) -> str:
        return "audio"

    def columns(self, layout: Layout) -> Columns:
        return TOWERS["audio"].columns(layout)

    def vectors(self, columns: Mapping[str, tf.Tensor], layout: Layout) -> tf.Tensor:
        return self.described(TOWERS["audio"].parse(columns, layout)["audio"])

    def described(self, feature: tf.Tensor) -> tf.Tensor:
        if feature.dtype == tf.uint8:
            return colours_and_gradients(feature)
        return feature if feature.shape.rank == 2 else pooled(feature)


class Text(View):
    """Counts of hashed n-grams of words and characters, or vectors of a frozen encoder."""

    def sparse(self, layout: Layout) -> bool:
        return layout.text_width is None

    def feature(self, layout: Layout) -> str:
        return GRAMS if self.sparse(layout) else VECTOR

    def columns(self, layout: Layout) -> Columns:
        width = layout.text_width
        if width is not None:
            return {VECTOR: tf.io.FixedLenFeature([width], tf.float32)}
        assert layout.spec.modalities.text is not None
        length = grams_length(layout.spec.modalities.text)
        return {GRAMS: tf.io.FixedLenFeature([length], tf.int64, [0] * length)}

    def vectors(self, columns: Mapping[str, tf.Tensor], layout: Layout) -> tf.Tensor:
        return columns[self.feature(layout)]


VIEWS: Mapping[str, View] = {"image": Image(), "audio": Audio(), "text": Text()}
"""By modality, in the order of `MODALITIES`."""


def colours_and_gradients(pixels: tf.Tensor) -> tf.Tensor:
    """Describes images by histograms of colours and of the directions of gradients.

    The colours are those of each quarter, as roots of shares; the gradients those of cells, each at
    most at unit length, as in histograms of oriented gradients (Dalal and Triggs, 2005).

    Args:
        pixels: uint8 `[batch, size, size, 3]`.

    Returns:
        float32 `[batch, 4 * COLOURS**3 + CELLS**2 * ORIENTATIONS]`.
    """
    size = min(pixels.shape[1], SIDE)
    values = tf.cast(pixels, tf.float32)
    if size < pixels.shape[1]:
        values = tf.image.resize(values, (size, size), method="area")
    levels = tf.cast(values * (COLOURS / 256), tf.int32)
    colour = (levels[..., 0] * COLOURS + levels[..., 1]) * COLOURS + levels[..., 2]
    hot = tf.one_hot(colour, COLOURS**3)
    half = (size + 1) // 2
    quarters = tf.nn.avg_pool2d(hot, half, half, "SAME")
    grey = tf.reduce_mean(values, axis=3)
    padded = tf.pad(grey, [[0, 0], [1, 1], [1, 1]], "SYMMETRIC")
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    angle = tf.math.floormod(tf.atan2(down, across), math.pi) * (ORIENTATIONS / math.pi)
    direction = tf.one_hot(tf.minimum(tf.cast(angle, tf.int32), ORIENTATIONS - 1), ORIENTATIONS)
    strength = tf.sqrt(across**2 + down**2)[..., tf.newaxis]
    side = -(-size // CELLS)
    cells = tf.nn.avg_pool2d(direction * strength, side, side, "SAME")
    length = tf.sqrt(tf.reduce_sum(cells**2, axis=3, keepdims=True))
    cells = cells / tf.maximum(length, 1.0)
    rows = tf.shape(pixels)[0]
    return tf.concat(
        [tf.reshape(tf.sqrt(quarters), [rows, -1]), tf.reshape(cells, [rows, -1])], axis=1
    )


def counts(numbers: npt.NDArray[np.int64]) -> sparse.csr_matrix:
    """Counts n-grams by bucket.

    Args:
        numbers: `[rows, grams]`, from 1 to `BUCKETS`; 0 is none.

    Returns:
        float32 `[rows, BUCKETS]`.
    """
    rows, places = np.nonzero(numbers)
    values = np.ones(len(rows), np.float32)
    shape = (len(numbers), BUCKETS)
    return sparse.csr_matrix((values, (rows, numbers[rows, places] - 1)), shape)
