"""TensorFlow graph of the unigram tokenizer of SentencePiece, which XLM-R uses.

The rules of the model normalize a text, white space ends a word, and a mark stands in front of each
word. Of all ways to cut a word into pieces, the one with the highest sum of scores is taken.

Ids and offsets are those of Hugging Face `tokenizers`, except for four causes: the name of a
special piece in a text is read as any other characters are, a word of over `MOST_CHARACTERS` is
cut, a text is read as composed (NFC), as canonical texts are, and offsets are right where a text
begins with characters that the rules drop, and where a ligature has an accent.
"""

import dataclasses
import unicodedata
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from triad_ml.transforms.features.pieces import characters, charsmap, code_points
from triad_ml.transforms.features.pieces.characters import Symbols, WordPieces
from triad_ml.transforms.features.pieces.values import Frame, Pieces
from triad_ml.transforms.features.pieces.vocabulary import VOCABULARY, Tables, lines

MOST_CHARACTERS = 1000
"""Largest number of characters in a word; a longer run of characters is several words."""

_LETTER, _SPACE = 1, 2
"""Kinds of characters: those of words, and white space."""
_CHANGED, _JOINS, _ENDS = 4, 8, 16
"""Bits of kinds: a rule replaces the character, it joins the one before, and none joins it."""

_UNKNOWN_PENALTY = 10.0
_LARGEST_CLUSTER = 5  # bytes, up to which a rule for a character replaces its marks too
_NO_MARKS = frozenset(
    [0x102B, 0x102C, 0x1038, 0x1083, 0x108F, 0x1A61, 0x1A63, 0x1A64, 0xAA7B, 0xAA7D]
    + [*range(0x1062, 0x1065), *range(0x1067, 0x106E), *range(0x1087, 0x108D)]
    + [*range(0x109A, 0x109D), 0x11720, 0x11721]
)
_MORE_MARKS = frozenset(
    [0x200C, 0x200D, 0xE33, 0xEB3, 0xFF9E, 0xFF9F, *range(0x1F3FB, 0x1F400)]
    + [*range(0xE0020, 0xE0080)]
)
"""Exceptions to the rule that marks, and no other characters, join the character before."""


@dataclasses.dataclass(frozen=True)
class Unigram:
    """Settings of a unigram tokenizer.

    Attributes:
        tokens: Pieces in the order of their ids.
        scores: Logarithm of each piece's probability.
        frame: Special pieces around a text.
        unknown: Id of characters that no piece has.
        special: Ids of the pieces that no text has.
        rules: Compiled normalization rules; empty if there are none.
        one_space: True if several spaces count as one.
        splits: True if all white space ends a word, and not the space alone.
        mark: Character in front of each word.
        marks_first: True if the mark is also in front of a text that does not begin with a space.
    """

    tokens: tuple[str, ...]
    scores: tuple[float, ...]
    frame: Frame
    unknown: int
    special: tuple[int, ...] = ()
    rules: bytes = b""
    one_space: bool = False
    splits: bool = True
    mark: str = "\u2581"
    marks_first: bool = True

    def files(self) -> Mapping[str, str]:
        """Returns the content of the tables' files, by name."""
        return {VOCABULARY: lines(self.tokens)}

    def graph(self, texts: tf.Tensor, tables: Tables) -> Pieces:
        """Splits texts into pieces, without the special ones.

        Args:
            texts: UTF-8, string `[batch]`.
            tables: Tables of the files.
        """
        symbols = characters.cut(self._symbols(texts), MOST_CHARACTERS)
        return characters.pieces_of(symbols, lambda words: _pieces(words, self, tables))

    def _symbols(self, texts: tf.Tensor) -> Symbols:
        """Normalizes texts, and replaces white space by marks."""
        read = characters.characters_of(texts)
        table = _table(self.rules, self.splits)
        kept = _without_joined_marks(table, read)
        code_points_kept, row, index = (tf.gather(part, kept) for part in read[:3])
        read = characters.Characters(code_points_kept, row, index, read.rows)
        made = code_points.replaced(table, read.code_points)
        row, index = tf.gather(read.row, made.source), tf.gather(read.index, made.source)
        space = tf.bitwise.bitwise_and(made.kinds, _SPACE) != 0
        mark = tf.constant(ord(self.mark))
        no_row = tf.constant(-1, tf.int64)
        begins = row != characters.before(row, no_row)
        after = characters.before(space, tf.constant(False))
        if self.splits:  # white space is dropped, and each word gets a mark
            marked = ~space & (begins | after) & (made.code_points != mark)
            begins_word = ~space & (begins | after | (made.code_points == mark))
            kept = ~space
            code = made.code_points
        else:  # a space is a mark
            code = tf.where(space, mark, made.code_points)
            kept = tf.ones_like(space)
            if self.one_space:
                ends = row != characters.behind(row, no_row)
                kept = ends | ~(space & characters.behind(space, tf.constant(False)))
            is_mark = code == mark
            marked = begins & ~is_mark if self.marks_first else tf.zeros_like(begins)
            begins_word = begins | is_mark
        copies = tf.cast(kept, tf.int32) + tf.cast(marked, tf.int32)
        source = tf.repeat(tf.range(tf.size(row, tf.int64)), copies)
        added = tf.gather(marked, source) & (source != characters.before(source, no_row))
        return Symbols(
            tf.where(added, mark, tf.gather(code, source)),
            tf.gather(row, source),
            tf.gather(index, source),
            tf.gather(begins_word, source) & (added | ~tf.gather(marked, source)),
            read.rows,
        )


def _without_joined_marks(table: code_points.Table, read: characters.Characters) -> tf.Tensor:
    """Returns the characters without the marks that a rule for their base character drops.

    The tokenizer of reference applies a rule for a character to a whole cluster of few bytes, the
    character with its marks. So the marks of a ligature, for example, are lost.
    """
    size = tf.size(read.row, tf.int64)
    kinds = code_points.first_kinds(table, read.code_points)
    joins = tf.bitwise.bitwise_and(kinds, _JOINS) != 0
    ends = tf.bitwise.bitwise_and(kinds, _ENDS) != 0
    starts = ~joins | (read.index == 0) | characters.before(ends, tf.constant(False))
    after_return = characters.before(read.code_points == 0xD, tf.constant(False))
    starts &= ~((read.code_points == 0xA) & after_return & (read.index > 0))
    cluster = tf.cumsum(tf.cast(starts, tf.int64)) - 1
    code = read.code_points
    sizes = 1 + sum(tf.cast(code > last, tf.int32) for last in (0x7F, 0x7FF, 0xFFFF))
    small = tf.math.unsorted_segment_sum(sizes, cluster, size) <= _LARGEST_CLUSTER
    first = tf.gather(kinds, tf.where(starts)[:, 0])
    changed = tf.bitwise.bitwise_and(tf.gather(first, cluster), _CHANGED) != 0
    return tf.where(starts | ~(changed & tf.gather(small, cluster)))[:, 0]


@code_points.cached
def _table(rules: bytes, splits: bool) -> code_points.Table:
    replacements = charsmap.read(rules) if rules else {}
    white_space = code_points.WHITE_SPACE if splits else frozenset({0x20})

    def outputs(code_point: int) -> code_points.Outputs:
        if code_point in code_points.SURROGATES:
            return ()
        text = chr(code_point)
        replacement = replacements.get(text, text)
        bits = (_CHANGED if text in replacements else 0) + _joining(code_point)
        codes = [ord(part) for part in replacement]
        return tuple((bits + (_SPACE if code in white_space else _LETTER), code) for code in codes)

    return code_points.build(outputs)


def _joining(code_point: int) -> int:
    category = unicodedata.category(chr(code_point))
    if code_point in _MORE_MARKS or (category[0] == "M" and code_point not in _NO_MARKS):
        return _JOINS
    return _ENDS if category in ("Cc", "Cf", "Zl", "Zp") else 0


def _pieces(words: tf.Tensor, options: Unigram, tables: Tables) -> WordPieces:
    """Cuts different words, string `[words]`, along the path of the highest sum of scores."""
    decoded = tf.strings.unicode_decode(words, "UTF-8")
    sizes, firsts = decoded.row_lengths(), decoded.row_starts()
    lengths = tf.constant(_lengths(options), tf.int64)
    ids, scores = _candidates(decoded, lengths, options, tables)
    columns = _best_columns(sizes, firsts, _lengths(options), scores)
    pieces = characters.ordered(_path(sizes, firsts, lengths, ids, columns))
    return _fused(pieces, options.unknown)


def _candidates(
    words: tf.RaggedTensor, lengths: tf.Tensor, options: Unigram, tables: Tables
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the id and score of the piece of each length that ends at each character.

    Both are `[characters, lengths]`; without such a piece, the score is minus infinity.
    """
    code, row = words.flat_values, words.value_rowids()
    count, columns = tf.size(row, tf.int64), tf.size(lengths, tf.int64)
    number = tf.range(count)
    place = number - tf.gather(words.row_starts(), row)
    at = tf.where(lengths[tf.newaxis] <= place[:, tf.newaxis] + 1)
    end = at[:, 0] + 1
    spans = tf.ragged.range(end - tf.gather(lengths, at[:, 1]), end)
    texts = tf.strings.unicode_encode(
        spans.with_flat_values(tf.gather(code, spans.flat_values)), "UTF-8"
    )
    found = tables.vocabulary.lookup(texts)
    ids = tf.scatter_nd(at, found + 1, tf.stack([count, columns])) - 1
    known = np.array(options.scores, np.float64)
    known[list(options.special)] = -np.inf
    scores = tf.where(ids >= 0, tf.gather(known, tf.maximum(ids, 0)), -np.inf)
    penalty = min(options.scores) - _UNKNOWN_PENALTY
    alone = tf.range(columns) == columns - 1
    unknown = alone[tf.newaxis] & (scores == -np.inf)
    return (
        tf.where(unknown, tf.constant(options.unknown, tf.int64), ids),
        tf.where(unknown, tf.constant(penalty, tf.float64), scores),
    )


def _best_columns(
    sizes: tf.Tensor, firsts: tf.Tensor, lengths: list[int], scores: tf.Tensor
) -> tf.Tensor:
    """Returns the column of the best piece that ends at each character of each word.

    Of equal sums the longest piece wins, as columns are in the order of falling lengths. Sums are
    in double precision, in the order of the reference.

    Returns:
        int32 `[longest word, words]`; any value behind a word's end.
    """
    count = tf.size(sizes)
    steps = tf.cast(tf.reduce_max(tf.concat([sizes, [1]], axis=0)), tf.int32)
    start = tf.constant([[0.0, *[-np.inf] * (lengths[0] - 1)]], tf.float64)
    column = tf.range(len(lengths))
    earlier = tf.constant([length - 1 for length in lengths])

    def step(
        place: tf.Tensor, window: tf.Tensor, best: tf.TensorArray
    ) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
        here = tf.gather(scores, firsts + tf.minimum(tf.cast(place, tf.int64), sizes - 1))
        sums = here + tf.gather(window, earlier, axis=1)
        most = tf.reduce_max(sums, axis=1, keepdims=True)
        chosen = tf.reduce_min(tf.where(sums == most, column, len(lengths)), axis=1)
        return (
            place + 1,
            tf.concat([most, window[:, :-1]], axis=1),
            best.write(place, chosen),
        )

    _, _, best = tf.while_loop(
        lambda place, *_: place < steps,
        step,
        (
            tf.constant(0),
            tf.tile(start, [count, 1]),
            tf.TensorArray(tf.int32, size=steps, element_shape=[None]),
        ),
    )
    return best.stack()


def _path(
    sizes: tf.Tensor, firsts: tf.Tensor, lengths: tf.Tensor, ids: tf.Tensor, columns: tf.Tensor
) -> WordPieces:
    """Follows the best pieces from the end of each word to its start."""

    def step(word: tf.Tensor, end: tf.Tensor, *found: tf.Tensor) -> tuple[tf.Tensor, ...]:
        column = tf.cast(tf.gather_nd(columns, tf.stack([end - 1, word], axis=1)), tf.int64)
        begin = end - tf.gather(lengths, column)
        at = tf.stack([tf.gather(firsts, word) + end - 1, column], axis=1)
        new = (word, tf.gather_nd(ids, at), begin, end)
        more = tf.where(begin > 0)[:, 0]
        return (
            tf.gather(word, more),
            tf.gather(begin, more),
            *(tf.concat(pair, axis=0) for pair in zip(found, new, strict=True)),
        )

    none = tf.zeros([0], tf.int64)
    start = (tf.range(tf.size(sizes, tf.int64)), sizes, *[none] * 4)
    shapes = (tf.TensorShape([None]),) * len(start)
    outputs = tf.while_loop(
        lambda word, *_: tf.size(word) > 0, step, start, shape_invariants=shapes
    )
    return WordPieces(*outputs[2:])


def _fused(pieces: WordPieces, unknown: int) -> WordPieces:
    """Joins unknown characters that follow each other in a word."""
    is_unknown = pieces.ids == unknown
    same = pieces.word == characters.before(pieces.word, tf.constant(-1, tf.int64))
    first = ~(is_unknown & characters.before(is_unknown, tf.constant(False)) & same)
    kept = tf.where(first)[:, 0]
    last = tf.concat([kept[1:], [tf.size(first, tf.int64)]], axis=0)[: tf.size(kept)] - 1
    word, ids, begins = (tf.gather(part, kept) for part in pieces[:3])
    return WordPieces(word, ids, begins, tf.gather(pieces.ends, last))


def _lengths(options: Unigram) -> list[int]:
    """Returns the numbers of characters that pieces have, in falling order."""
    return sorted({1, *(len(token) for token in options.tokens)} - {0}, reverse=True)
