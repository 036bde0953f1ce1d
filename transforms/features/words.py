"""TensorFlow graph that splits texts into words, with the offsets of each word."""

from typing import NamedTuple

import tensorflow as tf

_NOWHERE = tf.int64.max


class Words(NamedTuple):
    """Offsets of the tokens of texts, in characters.

    Attributes:
        starts: Index of each token's first character, int64 `[batch, length]`; 0 without a token.
        ends: Index after each token's last character, int64 `[batch, length]`; 0 without a token.
        beyond: Index of the first character of the first token that is cut off, int64 `[batch]`;
            the largest int64 if no token is.
    """

    starts: tf.Tensor
    ends: tf.Tensor
    beyond: tf.Tensor


def words_of(starts: tf.RaggedTensor, ends: tf.RaggedTensor, length: int) -> Words:
    """Keeps the first `length` tokens of ragged `[batch, tokens]`."""
    beyond = starts.to_tensor(_NOWHERE, shape=[None, length + 1])[:, length]
    kept = [offsets.to_tensor(0, shape=[None, length]) for offsets in (starts, ends)]
    return Words(kept[0], kept[1], beyond)


def first_overlaps(words: Words, starts: tf.Tensor, ends: tf.Tensor) -> tf.Tensor:
    """Finds the first piece of each word: the first one that has a character of the word.

    Args:
        words: Offsets of words.
        starts: Index of each piece's first character, int64 `[batch, pieces]`.
        ends: Index after each piece's last character, int64 `[batch, pieces]`; pieces without
            characters, as special ones, end where they start.

    Returns:
        Place of each word's first piece, int64 `[batch, length]`; -1 if no piece has one of its
        characters, as behind the last piece that is kept.
    """
    begins = starts[:, tf.newaxis] < words.ends[:, :, tf.newaxis]
    overlaps = begins & (ends[:, tf.newaxis] > words.starts[:, :, tf.newaxis])
    pieces = tf.range(tf.shape(starts, tf.int64)[1])
    place = tf.reduce_min(tf.where(overlaps, pieces, _NOWHERE), axis=2)
    return tf.where(tf.equal(place, _NOWHERE), tf.constant(-1, tf.int64), place)


_WORD = r"[\p{L}\p{M}\p{N}_]"
_ALONE = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
_SPACE = r"[\s\p{Z}\p{Cc}\p{Cf}]"


def words_graph(
    text: tf.Tensor, space: str = _SPACE
) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
    """Splits texts into words, with their offsets.

    A word is a run of letters, marks, digits and underscores; each Han or Kana character, and each
    other visible character, is a separate word.

    Args:
        text: UTF-8, string `[batch]`.
        space: Regular expression of the characters that are not visible.

    Returns:
        Words, string; the index of each word's first character, int64; and the index after its last
        character, int64. All are ragged `[batch, words]`.
    """
    characters = tf.strings.unicode_split(text, "UTF-8")
    flat, row = characters.flat_values, characters.value_rowids()
    index = tf.range(tf.size(row, tf.int64)) - tf.gather(characters.row_starts(), row)
    alone = tf.strings.regex_full_match(flat, _ALONE)
    joins = tf.strings.regex_full_match(flat, _WORD) & ~alone
    visible = ~tf.strings.regex_full_match(flat, space)
    follows = tf.concat([[False], joins[:-1]], axis=0) & (index > 0)
    starts = visible & ~(joins & follows)
    word = tf.cumsum(tf.cast(starts, tf.int64)) - 1
    num_words = tf.reduce_sum(tf.cast(starts, tf.int64))
    joined = tf.strings.unsorted_segment_join(
        tf.boolean_mask(flat, visible), tf.boolean_mask(word, visible), num_words
    )
    first = tf.boolean_mask(index, starts)
    sizes = tf.math.unsorted_segment_sum(
        tf.ones_like(index), tf.where(visible, word, -1), num_words
    )
    ragged = tf.RaggedTensor.from_value_rowids(
        joined, tf.boolean_mask(row, starts), nrows=characters.nrows()
    )
    return ragged, ragged.with_values(first), ragged.with_values(first + sizes)
