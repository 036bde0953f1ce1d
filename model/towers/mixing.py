"""Mixup: mixtures of each record of a batch and another one, and of their labels' losses."""

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from triad_ml.model.towers.registry import TOWERS

CONCENTRATION = 0.2
"""Both parameters of the beta distribution of a record's share; small: mostly near 0 or 1."""

_PARTNERS, _FIRST, _SECOND, _TEXTS = 101, 102, 103, 104  # purposes of a seed


class Mixed(NamedTuple):
    """A batch after mixing.

    Attributes:
        features: Features of the batch.
        partners: Row of each record's partner, int32 `[batch]`.
        shares: Share of each record in its mixture, from 0.5 to 1, float32 `[batch]`; the rest is
            the partner's.
    """

    features: dict[str, tf.Tensor]
    partners: tf.Tensor
    shares: tf.Tensor


def mixed(features: Mapping[str, tf.Tensor], seed: tf.Tensor) -> Mixed:
    """Mixes each record with another one of the batch that has the same modalities.

    Pixels, vectors and audio are weighted means. A text is that of one of the two records, chosen
    with its share. A record whose partner has other modalities stays as it is, with share 1, so
    that no mask changes.

    Args:
        features: Features of the batch; see `batches.Batch`.
        seed: Seed, int32 `[2]`; the same seed makes the same mixtures.
    """
    names = [name for name in TOWERS if name in features]
    rows = tf.shape(features[names[0]])[0]
    partners = tf.argsort(_uniform(rows, seed, _PARTNERS))
    present = tf.stack([features[f"{name}_present"] for name in names], axis=1)
    alike = tf.reduce_all(tf.equal(present, tf.gather(present, partners)), axis=1)
    drawn = _beta(rows, seed)
    shares = tf.where(alike, tf.maximum(drawn, 1.0 - drawn), 1.0)
    own = _uniform(rows, seed, _TEXTS) < shares
    changed = dict(features)
    for name, values in features.items():
        if not name.endswith("_present") and name.startswith(tuple(names)):
            changed[name] = _mix(values, tf.gather(values, partners), shares, own)
    return Mixed(changed, partners, shares)


def _mix(values: tf.Tensor, others: tf.Tensor, shares: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
    """Computes means of numbers, and chooses between ids and strings, row by row."""
    column = [-1, *(1 for _ in values.shape[1:])]
    if not (values.dtype.is_floating or values.dtype == tf.uint8):
        return tf.where(tf.reshape(own, column), values, others)
    share = tf.reshape(shares, column)
    mean = share * tf.cast(values, tf.float32) + (1.0 - share) * tf.cast(others, tf.float32)
    return tf.cast(mean if values.dtype.is_floating else tf.round(mean), values.dtype)


def _beta(rows: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    first, second = (
        tf.random.stateless_gamma(
            [rows], tf.random.experimental.stateless_fold_in(seed, number), CONCENTRATION
        )
        for number in (_FIRST, _SECOND)
    )
    return tf.math.divide_no_nan(first, first + second)


def _uniform(rows: tf.Tensor, seed: tf.Tensor, number: int) -> tf.Tensor:
    own = tf.random.experimental.stateless_fold_in(seed, number)
    return tf.random.stateless_uniform([rows], own)
