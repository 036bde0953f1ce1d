"""Words of texts, and where they stand, as part of the feature graph."""

from typing import NamedTuple

import tensorflow as tf

_NOWHERE = tf.int64.max


class Words(NamedTuple):
    """Where the tokens of texts stand, in characters.

    Attributes:
        starts: First characters, int64 `[batch, length]`; 0 where there is no token.
        ends: Behind-the-last characters, likewise.
        beyond: The first character of the first token that is left out, int64 `[batch]`; past every
            text where none is.
    """

    starts: tf.Tensor
    ends: tf.Tensor
    beyond: tf.Tensor


def words_of(starts: tf.RaggedTensor, ends: tf.RaggedTensor, length: int) -> Words:
    """Keeps the first `length` tokens of ragged `[batch, tokens]`."""
    beyond = starts.to_tensor(_NOWHERE, shape=[None, length + 1])[:, length]
    kept = [places.to_tensor(0, shape=[None, length]) for places in (starts, ends)]
    return Words(kept[0], kept[1], beyond)


_WORD = r"[\p{L}\p{M}\p{N}_]"
_ALONE = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
_SPACE = r"[\s\p{Z}\p{Cc}\p{Cf}]"


def words_graph(
    text: tf.Tensor, space: str = _SPACE
) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
    """Cuts texts into words and keeps where they stand.

    A word is a run of letters, marks, digits and underscores; each Han or Kana character and each
    other visible character is a word of its own.

    Args:
        text: UTF-8, string `[batch]`.
        space: A regular expression of the characters that are not visible.

    Returns:
        Words, and their first and behind-the-last characters, int64; each ragged `[batch, words]`.
    """
    characters = tf.strings.unicode_split(text, "UTF-8")
    flat, row = characters.flat_values, characters.value_rowids()
    place = tf.range(tf.size(row, tf.int64)) - tf.gather(characters.row_starts(), row)
    alone = tf.strings.regex_full_match(flat, _ALONE)
    joins = tf.strings.regex_full_match(flat, _WORD) & ~alone
    visible = ~tf.strings.regex_full_match(flat, space)
    follows = tf.concat([[False], joins[:-1]], axis=0) & (place > 0)
    starts = visible & ~(joins & follows)
    word = tf.cumsum(tf.cast(starts, tf.int64)) - 1
    num_words = tf.reduce_sum(tf.cast(starts, tf.int64))
    joined = tf.strings.unsorted_segment_join(
        tf.boolean_mask(flat, visible), tf.boolean_mask(word, visible), num_words
    )
    first = tf.boolean_mask(place, starts)
    sizes = tf.math.unsorted_segment_sum(
        tf.ones_like(place), tf.where(visible, word, -1), num_words
    )
    ragged = tf.RaggedTensor.from_value_rowids(
        joined, tf.boolean_mask(row, starts), nrows=characters.nrows()
    )
    return ragged, ragged.with_values(first), ragged.with_values(first + sizes)
