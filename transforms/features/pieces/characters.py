"""Words of texts as character runs, and the way back from pieces of words to offsets in texts."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from triad_ml.transforms.features.pieces.values import Pieces


class Characters(NamedTuple):
    """Characters of texts in one row.

    Attributes:
        code_points: Code points, int32 `[characters]`.
        row: Number of each character's text, int64 `[characters]`.
        index: Index of each character in its text, int64 `[characters]`.
        rows: Number of texts, int64.
    """

    code_points: tf.Tensor
    row: tf.Tensor
    index: tf.Tensor
    rows: tf.Tensor


class Symbols(NamedTuple):
    """Characters that a tokenizer reads, without those that it drops.

    Attributes:
        code_points: Code points, int32 `[symbols]`.
        row: Number of each symbol's text, int64 `[symbols]`.
        first: Index of the character that each symbol comes from, int64 `[symbols]`.
        starts: True for the first symbol of a word, bool `[symbols]`.
        rows: Number of texts, int64.
    """

    code_points: tf.Tensor
    row: tf.Tensor
    first: tf.Tensor
    starts: tf.Tensor
    rows: tf.Tensor


class WordPieces(NamedTuple):
    """Pieces of words, ordered by word and place.

    Attributes:
        word: Number of each piece's word, int64 `[pieces]`.
        ids: Ids, int64 `[pieces]`.
        begins: Index of each piece's first symbol in its word, int64 `[pieces]`.
        ends: Index after each piece's last symbol, int64 `[pieces]`.
    """

    word: tf.Tensor
    ids: tf.Tensor
    begins: tf.Tensor
    ends: tf.Tensor


def characters_of(texts: tf.Tensor) -> Characters:
    """Decodes texts, UTF-8, string `[batch]`."""
    decoded = tf.strings.unicode_decode(texts, "UTF-8")
    row = decoded.value_rowids()
    index = tf.range(tf.size(row, tf.int64)) - tf.gather(decoded.row_starts(), row)
    return Characters(decoded.flat_values, row, index, decoded.nrows(tf.int64))


def before(values: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
    """Shifts `[n]` by one place to the right; `first` is the value of the first place."""
    return tf.concat([tf.reshape(first, [1]), values[:-1]], axis=0)


def behind(values: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    """Shifts `[n]` by one place to the left; `last` is the value of the last place."""
    return tf.concat([values[1:], tf.reshape(last, [1])], axis=0)


def cut(symbols: Symbols, most: int) -> Symbols:
    """Begins a new word after each `most` symbols of a word, so that no word is longer."""
    first = tf.where(symbols.starts)[:, 0]
    number = tf.cumsum(tf.cast(symbols.starts, tf.int64)) - 1
    place = tf.range(tf.size(number, tf.int64)) - tf.gather(first, number)
    return symbols._replace(starts=place % most == 0)


def pieces_of(symbols: Symbols, split: Callable[[tf.Tensor], WordPieces]) -> Pieces:
    """Splits the words of texts into pieces; equal words are split once.

    Args:
        symbols: Symbols of all texts; each text begins with a first symbol of a word.
        split: Function from different words, UTF-8, string `[words]`, to their pieces.

    Returns:
        Pieces with offsets in the texts.
    """
    word_first = tf.where(symbols.starts)[:, 0]
    splits = tf.concat([word_first, [tf.size(symbols.row, tf.int64)]], axis=0)
    spelled = tf.RaggedTensor.from_row_splits(symbols.code_points, splits, validate=False)
    words, number = tf.unique(tf.strings.unicode_encode(spelled, "UTF-8"), tf.int64)
    pieces = split(words)
    order = tf.RaggedTensor.from_value_rowids(
        tf.range(tf.size(pieces.ids, tf.int64)),
        pieces.word,
        nrows=tf.size(words, tf.int64),
        validate=False,
    )
    chosen = tf.gather(order, number)
    entry, word = chosen.flat_values, chosen.value_rowids()
    offset = tf.gather(word_first, word)
    first = offset + tf.gather(pieces.begins, entry)
    last = offset + tf.gather(pieces.ends, entry) - 1
    ids = tf.RaggedTensor.from_value_rowids(
        tf.gather(pieces.ids, entry),
        tf.gather(symbols.row, offset),
        nrows=symbols.rows,
        validate=False,
    )
    starts = tf.gather(symbols.first, first)
    ends = tf.gather(symbols.first, last) + 1
    return Pieces(ids, ids.with_flat_values(starts), ids.with_flat_values(ends))


def ordered(pieces: WordPieces) -> WordPieces:
    """Sorts pieces by word and place."""
    place = pieces.word * tf.constant(1 << 32, tf.int64) + pieces.begins
    order = tf.argsort(place, stable=True)
    return WordPieces(*(tf.gather(part, order) for part in pieces))
