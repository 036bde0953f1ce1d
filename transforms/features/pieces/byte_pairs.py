"""TensorFlow graph of byte-level byte-pair encoding, the tokenizer of RoBERTa and GPT-2.

A text is cut into words by the rules of GPT-2: contractions, letters, numbers, other characters,
each with the space in front of it, and white space. The bytes of a word are its symbols, and the
pair of neighbours that was learned first is merged, until no pair of a word is known.

Ids and offsets are those of Hugging Face `tokenizers`, except for three causes: the name of a
special piece in a text is read as any other characters are, the kind of a character is that of
Python's Unicode tables, and a word of over `MOST_BYTES` is cut.
"""

import dataclasses
import functools
import unicodedata
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from triad_ml.transforms.features.pieces import characters, code_points
from triad_ml.transforms.features.pieces.characters import Characters, Symbols, WordPieces
from triad_ml.transforms.features.pieces.values import Frame, Pieces
from triad_ml.transforms.features.pieces.vocabulary import MERGES, VOCABULARY, Tables, lines

MOST_BYTES = 1000
"""Largest number of bytes in a word; a longer run of characters is several words."""

MOST_PIECES = 1 << 20
"""Largest size of a vocabulary: a pair of pieces is one number."""

_LETTER, _NUMBER, _SPACE, _OTHER = 1, 2, 3, 4
_ID_BITS = 20
_NO_MERGE = tf.int64.max
_CONTRACTIONS = ("s", "t", "re", "ve", "m", "ll", "d")


@dataclasses.dataclass(frozen=True)
class BytePairs:
    """Settings of a byte-level tokenizer.

    Attributes:
        tokens: Pieces in the order of their ids, in the alphabet of `alphabet`.
        merges: Ids of two neighbours and of the piece that replaces them, in the order in which
            they were learned.
        frame: Special pieces around a text.
        space_first: True if a space is put in front of a text that begins with none.
        trim: True if offsets leave out the spaces at the ends of a piece.
        trim_keeps_first: True if the single space at the start of a text stays in the offsets.
        whole_first: True if a word that is a piece is not cut, whatever the merges are.
    """

    tokens: tuple[str, ...]
    merges: tuple[tuple[int, int, int], ...]
    frame: Frame
    space_first: bool = False
    trim: bool = True
    trim_keeps_first: bool = False
    whole_first: bool = False

    def files(self) -> Mapping[str, str]:
        """Returns the content of the tables' files, by name."""
        merges = (
            f"{(left << _ID_BITS) + right}\t{(rank << _ID_BITS) + merged}\n"
            for rank, (left, right, merged) in enumerate(self.merges)
        )
        return {VOCABULARY: lines(self.tokens), MERGES: "".join(merges)}

    def graph(self, texts: tf.Tensor, tables: Tables) -> Pieces:
        """Splits texts into pieces, without the special ones.

        Args:
            texts: UTF-8, string `[batch]`.
            tables: Tables of the files.
        """
        spaced = tf.zeros_like(texts, tf.bool)
        if self.space_first:
            spaced = tf.strings.regex_full_match(texts, r"(?s)[^ ].*")
            texts = tf.where(spaced, tf.strings.join([" ", texts]), texts)
        read = characters.characters_of(texts)
        shift = tf.gather(tf.cast(spaced, tf.int64), read.row)
        index = tf.maximum(read.index - shift, 0)  # the space has the place of the first character
        symbols = _symbols(read._replace(index=index), _starts(read))
        symbols = characters.cut(symbols, MOST_BYTES)
        pieces = characters.pieces_of(symbols, lambda words: _pieces(words, self, tables))
        return self._trimmed(pieces) if self.trim else pieces

    def _trimmed(self, pieces: Pieces) -> Pieces:
        """Leaves the spaces at the ends of pieces out of the offsets."""
        space = alphabet()[0x20]
        leading = [len(token) - len(token.lstrip(space)) for token in self.tokens]
        trailing = [len(token) - len(token.rstrip(space)) for token in self.tokens]
        ids, start, end = (part.flat_values for part in pieces)
        left = tf.gather(tf.constant(leading, tf.int64), ids)
        right = tf.gather(tf.constant(trailing, tf.int64), ids)
        if self.trim_keeps_first:
            left = tf.where((start == 0) & (left == 1), tf.constant(0, tf.int64), left)
        start = tf.minimum(start + left, end)
        end = tf.where(end >= right, tf.maximum(end - right, start), end)
        return Pieces(
            pieces.ids, pieces.ids.with_flat_values(start), pieces.ids.with_flat_values(end)
        )


def alphabet() -> list[str]:
    """Returns the visible character that stands for each of the 256 bytes in a vocabulary."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(0x100) if byte not in visible]
    return [chr(byte if byte in visible else 0x100 + hidden.index(byte)) for byte in range(0x100)]


@code_points.cached
def _kinds() -> code_points.Table:
    def outputs(code_point: int) -> code_points.Outputs:
        if code_point in code_points.WHITE_SPACE:
            return ((_SPACE, code_point),)
        kind = {"L": _LETTER, "N": _NUMBER}.get(unicodedata.category(chr(code_point))[0], _OTHER)
        return ((kind, code_point),)

    return code_points.build(outputs)


def _starts(read: Characters) -> tf.Tensor:
    """Marks the first character of each word, bool `[characters]`."""
    kinds = code_points.replaced(_kinds(), read.code_points).kinds
    code, none = read.code_points, tf.constant(0)
    first = read.index == 0
    last = characters.behind(first, tf.constant(True))
    kind_before = tf.where(first, 0, characters.before(kinds, none))
    kind_behind = tf.where(last, 0, characters.behind(kinds, none))
    code_before = tf.where(first, 0, characters.before(code, none))
    is_space = kinds == _SPACE
    # The last white space in front of a word is no part of the white space before it.
    goes_ahead = is_space & (kind_behind != 0) & (kind_behind != _SPACE)
    begins_space = is_space & ((kind_before != _SPACE) | goes_ahead)
    begins_word = ~is_space & (kind_before != kinds) & (code_before != 0x20)
    starts = first | begins_space | begins_word
    # A contraction begins at an apostrophe that neither a space nor other characters include.
    apostrophe = (code == ord("'")) & (kind_before != _OTHER) & (code_before != 0x20)
    length = _contraction(code, apostrophe, read.row)
    inside = tf.zeros_like(starts)
    ahead = tf.zeros_like(starts)
    for size in (1, 2):
        has = length == size
        for _ in range(size):
            has = characters.before(has, tf.constant(False))
            inside |= has
        ahead |= characters.before(has, tf.constant(False)) & ~first & (kinds == _LETTER)
    return (starts & ~inside) | ahead


def _contraction(code: tf.Tensor, apostrophe: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
    """Returns the number of letters of the contraction at each character; 0 if there is none."""
    no_row = tf.constant(-1, tf.int64)
    nothing = tf.constant(0)
    row_one = characters.behind(row, no_row)
    one = tf.where(row_one == row, characters.behind(code, nothing), 0)
    row_two = characters.behind(row_one, no_row)
    two = tf.where(row_two == row, characters.behind(characters.behind(code, nothing), nothing), 0)
    length = tf.zeros_like(code)
    for letters in _CONTRACTIONS:
        matches = apostrophe & (one == ord(letters[0]))
        if len(letters) == 2:
            matches &= two == ord(letters[1])
        length = tf.where(matches, len(letters), length)
    return length


def _symbols(read: Characters, starts: tf.Tensor) -> Symbols:
    """Replaces each character by its UTF-8 bytes, in the alphabet of vocabularies."""
    code = read.code_points
    sizes = 1 + sum(tf.cast(code > last, tf.int32) for last in (0x7F, 0x7FF, 0xFFFF))
    source = tf.repeat(tf.range(tf.size(code, tf.int64)), sizes)
    place = tf.range(tf.size(source)) - tf.gather(tf.cumsum(sizes, exclusive=True), source)
    size = tf.gather(sizes, source)
    bits = tf.bitwise.right_shift(tf.gather(code, source), 6 * (size - 1 - place))
    lead = tf.gather(tf.constant([0, 0, 0xC0, 0xE0, 0xF0]), size) + bits
    byte = tf.where(place == 0, lead, 0x80 + tf.bitwise.bitwise_and(bits, 0x3F))
    letters = tf.constant([ord(letter) for letter in alphabet()], tf.int32)
    return Symbols(
        tf.gather(letters, byte),
        tf.gather(read.row, source),
        tf.gather(read.index, source),
        tf.gather(starts, source) & (place == 0),
        read.rows,
    )


def _pieces(words: tf.Tensor, options: BytePairs, tables: Tables) -> WordPieces:
    """Splits different words, string `[words]`, in the alphabet of the vocabulary."""
    assert tables.merges is not None
    whole = tables.vocabulary.lookup(words)
    stays = tf.constant(_stays(options))
    is_one = (whole >= 0) & tf.gather(stays, tf.maximum(whole, 0))
    one, left = tf.where(is_one)[:, 0], tf.where(~is_one)[:, 0]
    sizes = tf.strings.length(tf.gather(words, one), "UTF8_CHAR")
    ones = WordPieces(one, tf.gather(whole, one), tf.zeros_like(one), tf.cast(sizes, tf.int64))
    merged = _merged(tf.gather(words, left), left, options, tables.merges)
    joined = zip(ones, merged, strict=True)
    return characters.ordered(WordPieces(*(tf.concat(pair, axis=0) for pair in joined)))


def _merged(
    words: tf.Tensor, number: tf.Tensor, options: BytePairs, merges: tf.lookup.StaticHashTable
) -> WordPieces:
    """Merges the bytes of words; a step merges all places of the first-learned pair of each word.

    A word leaves the loop as soon as none of its pairs is known.
    """
    known = {token: id_ for id_, token in enumerate(options.tokens)}
    letters = alphabet()
    first_ids = np.zeros(0x200, np.int64)
    first_ids[[ord(letter) for letter in letters]] = [known[letter] for letter in letters]
    decoded = tf.strings.unicode_decode(words, "UTF-8")
    row = decoded.value_rowids()
    place = tf.range(tf.size(row, tf.int64)) - tf.gather(decoded.row_starts(), row)
    count = tf.size(words, tf.int64)

    def step(
        word: tf.Tensor, ids: tf.Tensor, begin: tf.Tensor, end: tf.Tensor, *found: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        same = word == characters.behind(word, tf.constant(-1, tf.int64))
        pair = tf.bitwise.left_shift(ids, _ID_BITS) + characters.behind(
            ids, tf.constant(0, tf.int64)
        )
        merge = merges.lookup(tf.where(same, pair, -1))
        merge = tf.where(merge >= 0, merge, _NO_MERGE)
        lowest = tf.gather(tf.math.unsorted_segment_min(merge, word, count), word)
        left = (merge == lowest) & (merge != _NO_MERGE)
        # In a run of equal symbols, pairs overlap: every other one is merged.
        run = left & ~characters.before(left, tf.constant(False))
        index = tf.range(tf.size(word, tf.int64))
        run_first = tf.concat([tf.where(run)[:, 0], [0]], axis=0)
        run_number = tf.maximum(tf.cumsum(tf.cast(run, tf.int64)) - 1, 0)
        left &= (index - tf.gather(run_first, run_number)) % 2 == 0
        ids = tf.where(left, tf.bitwise.bitwise_and(merge, (1 << _ID_BITS) - 1), ids)
        end = tf.where(left, characters.behind(end, tf.constant(0, tf.int64)), end)
        kept = ~characters.before(left, tf.constant(False))
        done = tf.where(kept & (lowest == _NO_MERGE))[:, 0]
        more = tf.where(kept & (lowest != _NO_MERGE))[:, 0]
        new = (tf.gather(number, word), ids, begin, end)
        return (
            *(tf.gather(part, more) for part in (word, ids, begin, end)),
            *(
                tf.concat([old, tf.gather(part, done)], axis=0)
                for old, part in zip(found, new, strict=True)
            ),
        )

    none = tf.zeros([0], tf.int64)
    start = (row, tf.gather(first_ids, decoded.flat_values), place, place + 1, *[none] * 4)
    shapes = (tf.TensorShape([None]),) * len(start)
    outputs = tf.while_loop(
        lambda word, *_: tf.size(word) > 0, step, start, shape_invariants=shapes
    )
    return WordPieces(*outputs[4:])


@functools.lru_cache(maxsize=4)
def _stays(options: BytePairs) -> list[bool]:
    """Returns for each piece if merging the bytes of its own text makes this piece."""
    if options.whole_first:
        return [True] * len(options.tokens)
    known = {token: id_ for id_, token in enumerate(options.tokens)}
    ranks = {
        (left, right): (rank, merged) for rank, (left, right, merged) in enumerate(options.merges)
    }
    letters = set(alphabet())
    return [
        letters.issuperset(token) and _merge([known[letter] for letter in token], ranks) == [id_]
        for id_, token in enumerate(options.tokens)
    ]


def _merge(ids: list[int], ranks: Mapping[tuple[int, int], tuple[int, int]]) -> list[int]:
    """Merges ids in plain Python, each time the first place of the first-learned pair."""
    while True:
        pairs = list(zip(ids, ids[1:], strict=False))
        found = [(ranks[pair], index) for index, pair in enumerate(pairs) if pair in ranks]
        if not found:
            return ids
        (_, merged), index = min(found)
        ids = [*ids[:index], merged, *ids[index + 2 :]]
