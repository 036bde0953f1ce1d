"""Words of texts, and where they stand, as part of the feature graph."""

import tensorflow as tf

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
