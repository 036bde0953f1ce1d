"""TensorFlow graph of WordPiece, the tokenizer of BERT, DistilBERT and ELECTRA.

A text is cut at white space and around punctuation and ideographs, and each word is cut into the
longest pieces of the vocabulary, from its start on. Ids and offsets are those of Hugging Face
`tokenizers`, except for two causes: the name of a special piece in a text is read as any other
characters are, and the kind of a character is that of Python's Unicode tables, which are newer.
"""

import dataclasses
import unicodedata
from collections.abc import Mapping

import tensorflow as tf

from triad_ml.transforms.features.pieces import characters, code_points
from triad_ml.transforms.features.pieces.characters import Symbols, WordPieces
from triad_ml.transforms.features.pieces.values import Frame, Pieces
from triad_ml.transforms.features.pieces.vocabulary import VOCABULARY, Tables, lines

_LETTER, _ALONE, _SPACE = 1, 2, 3
"""Kinds of characters: those of words, those that are words of their own, and white space."""

_IDEOGRAPHS = (
    *(range(0x4E00, 0xA000), range(0x3400, 0x4DC0), range(0x20000, 0x2A6E0)),
    *(range(0x2A700, 0x2B740), range(0x2B740, 0x2B820)),
    range(0x2B920, 0x2CEB0),  # begins 256 too late, as in the tokenizer that models were made with
    *(range(0xF900, 0xFB00), range(0x2F800, 0x2FA20)),
)
_ID_BITS = 32


@dataclasses.dataclass(frozen=True)
class WordPiece:
    """Settings of a WordPiece tokenizer.

    Attributes:
        tokens: Pieces in the order of their ids.
        frame: Special pieces around a text.
        unknown: Id of a word that the vocabulary does not cover.
        prefix: Mark of the pieces that continue a word, which the vocabulary has at their start.
        longest_word: Number of characters of the longest word that is not unknown.
        clean: True if control characters are dropped.
        ideographs: True if each ideograph is a word of its own.
        strip_accents: True if combining marks are dropped.
        lowercase: True if letters are in lower case.
    """

    tokens: tuple[str, ...]
    frame: Frame
    unknown: int
    prefix: str = "##"
    longest_word: int = 100
    clean: bool = True
    ideographs: bool = True
    strip_accents: bool = True
    lowercase: bool = True

    def files(self) -> Mapping[str, str]:
        """Returns the content of the tables' files, by name."""
        return {VOCABULARY: lines(self.tokens)}

    def graph(self, texts: tf.Tensor, tables: Tables) -> Pieces:
        """Splits texts into pieces, without the special ones.

        Args:
            texts: UTF-8, string `[batch]`.
            tables: Tables of the files.
        """
        read = characters.characters_of(texts)
        table = _table(self.clean, self.ideographs, self.strip_accents, self.lowercase)
        made = code_points.replaced(table, read.code_points)
        row = tf.gather(read.row, made.source)
        letter, visible = made.kinds == _LETTER, made.kinds != _SPACE
        joined = letter & characters.before(letter, tf.constant(False))
        joined &= row == characters.before(row, tf.constant(-1, tf.int64))
        kept = tf.where(visible)[:, 0]
        symbols = Symbols(
            tf.gather(made.code_points, kept),
            tf.gather(row, kept),
            tf.gather(read.index, tf.gather(made.source, kept)),
            tf.gather(~joined, kept),
            read.rows,
        )
        return characters.pieces_of(symbols, lambda words: _pieces(words, self, tables))


@code_points.cached
def _table(
    clean: bool, ideographs: bool, strip_accents: bool, lowercase: bool
) -> code_points.Table:
    def outputs(code_point: int) -> code_points.Outputs:
        if code_point in code_points.SURROGATES:
            return ()
        if clean and _is_dropped(code_point):
            return ()
        if code_point in code_points.WHITE_SPACE:
            return ((_SPACE, 0x20),)
        text = chr(code_point)
        if strip_accents:
            parts = unicodedata.normalize("NFD", text)
            text = "".join(part for part in parts if unicodedata.category(part) != "Mn")
        if lowercase:
            text = "".join(part.lower() for part in text)
        alone = ideographs and any(code_point in block for block in _IDEOGRAPHS)
        return tuple((_ALONE if alone else _kind(part), ord(part)) for part in text)

    return code_points.build(outputs)


def _is_dropped(code_point: int) -> bool:
    if code_point in (0x9, 0xA, 0xD):
        return False
    return code_point in (0, 0xFFFD) or unicodedata.category(chr(code_point)) in ("Cc", "Cf", "Co")


def _kind(character: str) -> int:
    ascii_symbol = character.isascii() and character.isprintable() and not character.isalnum()
    if ord(character) in code_points.WHITE_SPACE:
        return _SPACE
    return _ALONE if ascii_symbol or unicodedata.category(character)[0] == "P" else _LETTER


def _pieces(words: tf.Tensor, options: WordPiece, tables: Tables) -> WordPieces:
    """Splits different words, string `[words]`."""
    sizes = tf.strings.length(words, "UTF8_CHAR")
    whole = tables.vocabulary.lookup(words)
    short = sizes <= options.longest_word
    number = tf.range(tf.size(words, tf.int64))
    left = tf.where(short & (whole < 0))[:, 0]
    parts = _longest_matches(tf.gather(words, left), tf.gather(sizes, left), left, options, tables)
    failed = tf.gather(parts.word, tf.where(parts.ids < 0)[:, 0])
    is_failed = tf.math.unsorted_segment_max(tf.ones_like(failed, tf.int32), failed, tf.size(words))
    is_failed = is_failed > 0  # an empty segment has the smallest number
    is_one = ~short | (whole >= 0) | is_failed
    one = tf.where(is_one)[:, 0]
    ids = tf.where(short & (whole >= 0), whole, options.unknown)
    kept = tf.where(~tf.gather(is_failed, parts.word))[:, 0]
    parts = WordPieces(*(tf.gather(part, kept) for part in parts))
    ones = WordPieces(
        tf.gather(number, one),
        tf.gather(ids, one),
        tf.zeros_like(one),
        tf.cast(tf.gather(sizes, one), tf.int64),
    )
    return characters.ordered(
        WordPieces(*(tf.concat(pair, axis=0) for pair in zip(ones, parts, strict=True)))
    )


def _longest_matches(
    words: tf.Tensor, sizes: tf.Tensor, number: tf.Tensor, options: WordPiece, tables: Tables
) -> WordPieces:
    """Cuts words into the longest pieces, from their start on; the id is -1 where none matches.

    All lengths that the vocabulary has are looked up at once for all words; a step finds one piece
    of each word that is not at its end.
    """
    lengths = tf.constant(_lengths(options), tf.int32)

    def step(word: tf.Tensor, place: tf.Tensor, *found: tf.Tensor) -> tuple[tf.Tensor, ...]:
        size = tf.gather(sizes, word)
        ends = place[:, tf.newaxis] + lengths[tf.newaxis]
        inside = tf.where(ends <= size[:, tf.newaxis])
        row, length = inside[:, 0], tf.gather(lengths, inside[:, 1])
        start = tf.gather(place, row)
        text = tf.gather(words, tf.gather(word, row))
        part = tf.strings.substr(text, start, length, unit="UTF8_CHAR")
        part = tf.where(start > 0, tf.strings.join([options.prefix, part]), part)
        ids = tables.vocabulary.lookup(part)
        packed = tf.bitwise.left_shift(tf.cast(length, tf.int64), _ID_BITS) + ids
        best = tf.math.unsorted_segment_max(
            tf.where(ids >= 0, packed, -1), row, tf.size(word, tf.int64)
        )
        matches = best >= 0
        best = tf.where(matches, best, 0)
        end = place + tf.cast(tf.bitwise.right_shift(best, _ID_BITS), tf.int32)
        id_ = tf.where(matches, tf.bitwise.bitwise_and(best, (1 << _ID_BITS) - 1), -1)
        new = (tf.gather(number, word), id_, tf.cast(place, tf.int64), tf.cast(end, tf.int64))
        unfinished = tf.where(matches & (end < size))[:, 0]
        return (
            tf.gather(word, unfinished),
            tf.gather(end, unfinished),
            *(tf.concat(pair, axis=0) for pair in zip(found, new, strict=True)),
        )

    none = tf.zeros([0], tf.int64)
    row = tf.TensorShape([None])
    start = (tf.range(tf.size(words)), tf.zeros_like(sizes), none, none, none, none)
    outputs = tf.while_loop(
        lambda word, *_: tf.size(word) > 0, step, start, shape_invariants=(row,) * len(start)
    )
    return WordPieces(*outputs[2:])


def _lengths(options: WordPiece) -> list[int]:
    """Returns the numbers of characters that pieces have, without the mark, in rising order."""
    marked = {
        len(token) - len(options.prefix)
        for token in options.tokens
        if token.startswith(options.prefix)
    }
    lengths = marked | {len(token) for token in options.tokens}
    return [length for length in sorted(lengths) if 0 < length <= options.longest_word] or [1]
