"""Texts to be written as part of the feature graph: pieces of words, and words of the source.

A text is a sequence of units. `END` ends it, `UNKNOWN` is a character that is no piece, and from
`FIRST_PIECE` on are the pieces of the vocabulary. Behind them are the words of the record's own
text, the source: `copies` of the place where a word stands first, without and with a space before
it. A word that is a piece is that piece, whether the source has it or not: equal texts are equal
units.
"""

from collections.abc import Mapping

import tensorflow as tf

from triad_ml.transforms.features.analyzers import Analyzers, Lookup
from triad_ml.transforms.features.ids import MISSING_LABEL
from triad_ml.transforms.features.source_words import Source, row_places, spaced_graph
from triad_ml.transforms.features.subwords import MOST_CHARACTERS
from triad_ml.transforms.features.words import words_graph
from triad_ml.transforms.spec.tasks import GenerationTask
from triad_ml.transforms.targets.base import (
    Features,
    FeatureSpec,
    Tensors,
    TextGraph,
    WithoutMoments,
    given_label,
    write_strings,
)
from triad_ml.transforms.targets.classes import label_vocabulary

END, UNKNOWN, FIRST_PIECE = 0, 1, 2
NO_UNIT = -1
"""Where the source has no word."""

TEXT = "text"
"""The suffix of the feature that is a whole text."""

TEXTS, CUT = "texts", "cut"
"""What is counted of a record's text; see `units_graph`."""

_NOWHERE = tf.int64.max
_CHUNK_HOPS = 6
_CHUNK = 2**_CHUNK_HOPS
"""Pieces do not go on over so many characters of a word."""


class Texts(WithoutMoments):
    """Label part of the feature graph for texts to be written."""

    counts: tuple[str, ...] = (TEXTS, CUT)

    def raw_features(self, name: str, task: GenerationTask) -> FeatureSpec:
        return given_label(name)

    def serialize(self, value: str | None, name: str, feature: Features) -> None:
        write_strings(None if value is None else (value,), name, feature)

    def text_graph(self, text: TextGraph) -> Tensors:
        source = text.source
        return {"text_surface": source.words.to_tensor("", shape=[None, source.length])}

    def input_graph(
        self,
        inputs: Mapping[str, tf.Tensor],
        name: str,
        task: GenerationTask,
        text: TextGraph | None,
        analyzers: Analyzers,
    ) -> Tensors:
        source = None if text is None else text.source
        return target_graph(inputs, name, task, source, analyzers)

    def label_graph(
        self,
        inputs: Mapping[str, tf.Tensor],
        name: str,
        task: GenerationTask,
        text: TextGraph | None,
        analyzers: Analyzers,
    ) -> Tensors:
        return {}  # `input_graph` looks both up with one table


def copies(task: GenerationTask) -> int:
    """The first unit that copies a word; the word at place p is `copies + p`.

    With a space before it, it is `copies + length + p`.
    """
    return FIRST_PIECE + task.vocabulary


def target_graph(
    inputs: Mapping[str, tf.Tensor],
    name: str,
    task: GenerationTask,
    source: Source | None,
    analyzers: Analyzers,
) -> Tensors:
    """The features of a generation task.

    Args:
        inputs: See `preprocessing.raw_feature_spec`.
        name: Of the task.
        task: Gives sizes.
        source: None where the spec has no texts.
        analyzers: Give the pieces.

    Returns:
        `units_<task>` where there is a source, see `source_graph`; `label_<task>` and its counts,
        see `units_graph`; and `label_<task>.text`, the whole text, string `[batch]`.
    """
    feature = f"label_{name}"
    label, given = inputs[feature], inputs[f"{feature}_given"]
    shape = tf.stack([tf.shape(given, tf.int64)[0], 1])
    texts = tf.sparse.to_dense(tf.SparseTensor(label.indices, label.values, shape), "")[:, 0]
    words = spaced_words(texts).flat_values
    lookup = analyzers.pieces(words, label_vocabulary(name), size=task.vocabulary)
    units, counts = units_graph(texts, given, source, task, lookup)
    outputs = {feature: units, f"{feature}.{TEXT}": texts}
    outputs |= {f"{feature}.{count}": values for count, values in counts.items()}
    if source is not None:
        outputs[f"units_{name}"] = source_graph(source, task, lookup)
    return outputs


def spaced_words(texts: tf.Tensor) -> tf.RaggedTensor:
    """The words of texts, each with the space before it: joined they are the text.

    Args:
        texts: UTF-8, string `[batch]`, in which white space is single spaces.
    """
    words, starts, ends = words_graph(texts, space=" ")
    gap = spaced_graph(starts, ends).flat_values
    return words.with_flat_values(tf.where(gap, " ", "") + words.flat_values)


def source_graph(source: Source, task: GenerationTask, lookup: Lookup) -> tf.Tensor:
    """The unit that each word of the source is, int64 `[batch, 2 * length]`.

    First with a space before it or without, as the text has it, then the other way;
    `NO_UNIT` where there is no word.
    """
    words, spaced, length = source
    place = _firstrow_places(words, words)
    units = []
    for variant in (spaced.flat_values, ~spaced.flat_values):
        piece = lookup(tf.where(variant, " ", "") + words.flat_values)
        copied = copies(task) + tf.cast(variant, tf.int64) * length + place
        unit = words.with_flat_values(tf.where(piece >= 0, piece + FIRST_PIECE, copied))
        units.append(unit.to_tensor(NO_UNIT, shape=[None, length]))
    return tf.concat(units, axis=1)


def units_graph(
    texts: tf.Tensor, given: tf.Tensor, source: Source | None, task: GenerationTask, lookup: Lookup
) -> tuple[tf.Tensor, Tensors]:
    """Texts as units.

    Args:
        texts: UTF-8, string `[batch]`, in which white space is single spaces.
        given: Whether there is a text, int64 `[batch]`.
        source: None where the spec has no texts.
        task: Gives sizes.
        lookup: Of the task's pieces.

    Returns:
        Units, int64 `[batch, length of the task]`: `END` behind the last, `MISSING_LABEL` all along
        where there is no text. And int64 `[batch]`: `TEXTS`, 1 where there is one; `CUT`, 1 where
        no `END` has room behind it.
    """
    words = spaced_words(texts)
    flat = words.flat_values
    units = segments_graph(flat, lookup)
    number, first = units.row_lengths(), _first_units(units)
    is_piece = tf.equal(number, 1) & tf.not_equal(first, UNKNOWN)
    if source is not None:
        bare = tf.strings.regex_replace(flat, "^ ", "")
        spaced = tf.cast(tf.not_equal(flat, bare), tf.int64)
        place = _firstrow_places(source.words, words.with_flat_values(bare))
        copied = (place < _NOWHERE) & ~is_piece
        unit = copies(task) + spaced * source.length + place
        row = units.value_rowids()
        kept = tf.equal(row_places(units), 0) | ~tf.gather(copied, row)
        values = tf.where(tf.gather(copied, row), tf.gather(unit, row), units.flat_values)
        number = tf.where(~copied, number, 1)
        units = tf.RaggedTensor.from_row_lengths(tf.boolean_mask(values, kept), number)
    length = task.length
    rows = tf.gather(words.value_rowids(), units.value_rowids())
    whole = tf.RaggedTensor.from_value_rowids(units.flat_values, rows, nrows=words.nrows())
    there = given > 0
    dense = whole.to_tensor(END, shape=[None, length])
    counts = {TEXTS: there, CUT: there & (whole.row_lengths() >= length)}
    return (
        tf.where(there[:, tf.newaxis], dense, MISSING_LABEL),
        {name: tf.cast(one, tf.int64) for name, one in counts.items()},
    )


def segments_graph(words: tf.Tensor, lookup: Lookup) -> tf.RaggedTensor:
    """Cuts words, string `[n]`, into the longest pieces from the left: units, ragged `[n, units]`.

    All pieces that begin at any character are looked up at once; which of them are reached from
    the first character is found by doubling steps.
    """
    characters = tf.strings.unicode_split(words, "UTF-8")
    place, row = row_places(characters), characters.value_rowids()
    size = tf.size(place, tf.int64)
    begins = tf.equal(place % _CHUNK, 0)
    chunk = tf.cumsum(tf.cast(begins, tf.int64)) - 1
    ends = tf.cumsum(
        tf.math.unsorted_segment_sum(
            tf.ones_like(chunk), chunk, tf.reduce_sum(tf.cast(begins, tf.int64))
        )
    )
    here = tf.range(size)
    left = tf.gather(ends, chunk) - here
    padded = tf.concat([characters.flat_values, [""]], axis=0)
    gram, grams = tf.zeros_like(characters.flat_values), []
    for more in range(MOST_CHARACTERS):
        following = tf.gather(padded, tf.minimum(here + more, size))
        gram = tf.where(left > more, gram + following, "")
        grams.append(gram)
    ids = tf.reshape(lookup(tf.reshape(tf.stack(grams), [-1])), [MOST_CHARACTERS, -1])
    lengths = tf.range(1, MOST_CHARACTERS + 1, dtype=tf.int64)[:, tf.newaxis]
    longest = tf.reduce_max(tf.where(ids >= 0, lengths, 0), axis=0)
    best = tf.maximum(longest - 1, 0)
    piece = tf.gather_nd(ids, tf.stack([best, here], axis=1)) + FIRST_PIECE
    unit = tf.where(longest > 0, piece, UNKNOWN)
    jump = tf.concat([here + tf.maximum(longest, 1), [size]], axis=0)
    reached = tf.pad(tf.cast(begins, tf.int64), [[0, 1]])
    for _ in range(_CHUNK_HOPS):
        arrived = tf.math.unsorted_segment_max(reached, jump, size + 1)
        reached = tf.maximum(reached, arrived)
        jump = tf.gather(jump, jump)
    kept = reached[:-1] > 0
    return tf.RaggedTensor.from_value_rowids(
        tf.boolean_mask(unit, kept), tf.boolean_mask(row, kept), nrows=characters.nrows()
    )


def _first_units(units: tf.RaggedTensor) -> tf.Tensor:
    """The first unit of each row; `UNKNOWN` where it has none."""
    return units.to_tensor(UNKNOWN, shape=[None, 1])[:, 0]


def _firstrow_places(source: tf.RaggedTensor, words: tf.RaggedTensor) -> tf.Tensor:
    """Where in its row of the source each of `words` stands first; `_NOWHERE` where it does not."""
    count = tf.size(source.flat_values)
    _, number = tf.unique(
        tf.concat([source.flat_values, words.flat_values], axis=0), out_idx=tf.int64
    )
    row = tf.concat([source.value_rowids(), words.value_rowids()], axis=0)
    _, same = tf.unique(row * tf.size(number, tf.int64) + number, out_idx=tf.int64)
    nowhere = tf.fill(tf.shape(words.flat_values), _NOWHERE)
    places = tf.concat([row_places(source), nowhere], axis=0)
    first = tf.math.unsorted_segment_min(places, same, tf.size(same, tf.int64))
    return tf.gather(first, same[count:])
