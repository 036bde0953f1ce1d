"""Words of the records' texts in their original spelling, which generated texts may copy."""

from typing import NamedTuple

import tensorflow as tf

from triad_ml.transforms.features.text import _tokens
from triad_ml.transforms.spec.modalities import TextSpec


class Source(NamedTuple):
    """Source of the copy mechanism: the words of the records' own texts.

    Attributes:
        words: Words as in the text, string, ragged `[batch, words]`, at most `length` per record.
        spaced: True if there is space before a word, bool, ragged `[batch, words]`.
        length: Length of the text features, in words.
    """

    words: tf.RaggedTensor
    spaced: tf.RaggedTensor
    length: int


def source_of(content: tf.Tensor, spec: TextSpec) -> Source:
    """Returns the words of texts that generated texts may copy; see `text_graph` for `content`."""
    tokens, starts, ends = _tokens(content, spec)
    spaced = spaced_graph(starts, ends)
    return Source(tokens[:, : spec.length], spaced[:, : spec.length], spec.length)


def spaced_graph(starts: tf.RaggedTensor, ends: tf.RaggedTensor) -> tf.RaggedTensor:
    """Returns True for each word that follows a space, bool, ragged `[batch, words]`.

    The space is between the word and the word before it, or the beginning of the text.

    Args:
        starts: Index of each word's first character, int64, ragged `[batch, words]`.
        ends: Index after each word's last character, int64, ragged `[batch, words]`.
    """
    before = tf.roll(ends.flat_values, 1, axis=0)
    first = tf.equal(row_places(ends), 0)
    return starts.with_flat_values(starts.flat_values > tf.where(~first, before, 0))


def row_places(ragged: tf.RaggedTensor) -> tf.Tensor:
    """Returns the index of each value of a ragged tensor within its row, int64 `[values]`."""
    values = tf.range(tf.size(ragged.flat_values, tf.int64))
    return values - tf.gather(ragged.row_starts(), ragged.value_rowids())
