"""Keras layers of linear models, with the numbers that scikit-learn found."""

import abc
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from triad_ml.model.linear.views import VIEWS
from triad_ml.transforms.features.grams import BUCKETS

Tensor: TypeAlias = keras.KerasTensor
Shape: TypeAlias = tuple[int | None, ...]
Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]


@keras.saving.register_keras_serializable(package="triad")
class Described(keras.layers.Layer):
    """View of a modality's feature; see `views.View.described`.

    Args:
        modality: Name of the modality.
    """

    def __init__(self, modality: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.modality = modality

    def call(self, feature: Tensor) -> Tensor:
        return VIEWS[self.modality].described(feature)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "modality": self.modality}


class _Scaled(keras.layers.Layer):
    """Scaled view of a modality, zeros in rows without it; see `fit.Scaling`.

    Takes the view and the mask of the rows that have the modality, bool `[batch]`.

    Args:
        width: Number of columns; of n-grams that of the buckets that training saw.
    """

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width

    @abc.abstractmethod
    def set_numbers(self, columns: Integers, mean: Floats, factor: Floats) -> None:
        """Sets the numbers of the scaling; `columns` are those of the view that it keeps."""

    def compute_output_shape(self, view_shape: Shape, present_shape: Shape) -> Shape:
        return (view_shape[0], self.width)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable(package="triad")
class Standardized(_Scaled):
    """Z-scores of a dense view, float32 `[batch, width]`, times factors."""

    def build(self, view_shape: Shape, present_shape: Shape) -> None:
        self.mean = self.add_weight(
            shape=(self.width,), initializer="zeros", trainable=False, name="mean"
        )
        self.factor = self.add_weight(
            shape=(self.width,), initializer="ones", trainable=False, name="factor"
        )

    def set_numbers(self, columns: Integers, mean: Floats, factor: Floats) -> None:
        self.set_weights([mean.astype(np.float32), factor.astype(np.float32)])

    def call(self, view: Tensor, present: Tensor) -> Tensor:
        return tf.where(present[:, tf.newaxis], (view - self.mean) * self.factor, 0.0)


@keras.saving.register_keras_serializable(package="triad")
class WeightedNgrams(_Scaled):
    """Tf-idf, at unit length, of the n-grams that training saw.

    The view are numbers of n-grams, int64 `[batch, grams]`; see `grams.grams_graph`.
    """

    def build(self, view_shape: Shape, present_shape: Shape) -> None:
        self.place = self.add_weight(
            shape=(BUCKETS + 1,),
            initializer="zeros",
            dtype="int32",
            trainable=False,
            name="place",
        )
        self.inverse = self.add_weight(
            shape=(self.width,), initializer="ones", trainable=False, name="inverse_frequency"
        )

    def set_numbers(self, columns: Integers, mean: Floats, factor: Floats) -> None:
        place = np.zeros(BUCKETS + 1, np.int32)
        place[columns + 1] = np.arange(1, len(columns) + 1)
        self.set_weights([place, factor.astype(np.float32)])

    def call(self, view: Tensor, present: Tensor) -> Tensor:
        counts = tf.math.bincount(
            tf.gather(tf.convert_to_tensor(self.place), view),
            minlength=self.width + 1,
            maxlength=self.width + 1,
            dtype=tf.float32,
            axis=-1,
        )[:, 1:]
        seen = (counts > 0) & present[:, tf.newaxis]
        weighted = tf.where(seen, (1.0 + tf.math.log(tf.maximum(counts, 1.0))) * self.inverse, 0.0)
        length = tf.sqrt(tf.reduce_sum(tf.square(weighted), axis=1, keepdims=True))
        return tf.math.divide_no_nan(weighted, length)


@keras.saving.register_keras_serializable(package="triad")
class SubsetSum(keras.layers.Layer):
    """Output of the linear model of exactly the modalities that each row has.

    Takes one tensor a modality, float32 `[batch, 2**(modalities - 1), outputs]`, with what it adds
    in each set of modalities that it is in, and the mask of the modalities, bool
    `[batch, modalities]`; returns float32 `[batch, outputs]`. Sets are numbered by the bits of
    their modalities, of which the first is 1; those of a modality are in the order of their
    numbers.
    """

    def build(self, terms_shape: list[Shape], visible_shape: Shape) -> None:
        self.players = len(terms_shape)
        self.bias = self.add_weight(
            shape=(2**self.players, terms_shape[0][-1]),
            initializer="zeros",
            trainable=False,
            name="bias",
        )

    def call(self, terms: list[Tensor], visible: Tensor) -> Tensor:
        numbers = 2 ** np.arange(self.players, dtype=np.int32)
        code = tf.reduce_sum(tf.cast(visible, tf.int32) * numbers, axis=1)
        total = tf.gather(tf.convert_to_tensor(self.bias), code)
        for player, own in enumerate(terms):
            place = tf.gather(tf.constant(places(player, self.players)), code)
            added = tf.gather(own, place, batch_dims=1)
            total += tf.where(visible[:, player : player + 1], added, 0.0)
        return total

    def compute_output_shape(self, terms_shape: list[Shape], visible_shape: Shape) -> Shape:
        return (visible_shape[0], terms_shape[0][-1])


def places(player: int, players: int) -> list[int]:
    """Returns the place of each set among those that a player is in; 0 for sets without it."""
    found, place = [], 0
    for number in range(2**players):
        inside = number >> player & 1
        found.append(place if inside else 0)
        place += inside
    return found
