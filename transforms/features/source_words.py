"""Words of the records' texts as they stand, which texts to be written may copy."""

from typing import NamedTuple

import tensorflow as tf

from triad_ml.transforms.features.text import _tokens
from triad_ml.transforms.spec.modalities import TextSpec


class Source(NamedTuple):
    """The words of the records' own texts.

    Attributes:
        words: As the text has them, string, ragged `[batch, words]`, at most `length` a record.
        spaced: Whether there is space between a word and the one before it, bool, likewise.
        length: Of the text features.
    """

    words: tf.RaggedTensor
    spaced: tf.RaggedTensor
    length: int


def source_of(content: tf.Tensor, spec: TextSpec) -> Source:
    """The tokens that texts to be written may copy; see `text_graph`."""
    tokens, starts, ends = _tokens(content, spec)
    spaced = spaced_graph(starts, ends)
    return Source(tokens[:, : spec.length], spaced[:, : spec.length], spec.length)


def spaced_graph(starts: tf.RaggedTensor, ends: tf.RaggedTensor) -> tf.RaggedTensor:
    """Whether there is space between a word and the one before it, or the text's beginning.

    Args:
        starts: The words' first characters, int64, ragged `[batch, words]`.
        ends: Those behind the last ones.
    """
    before = tf.roll(ends.flat_values, 1, axis=0)
    first = tf.equal(row_places(ends), 0)
    return starts.with_flat_values(starts.flat_values > tf.where(~first, before, 0))


def row_places(ragged: tf.RaggedTensor) -> tf.Tensor:
    """The place of each value in its row, int64."""
    values = tf.range(tf.size(ragged.flat_values, tf.int64))
    return values - tf.gather(ragged.row_starts(), ragged.value_rowids())
