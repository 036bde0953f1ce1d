"""Label part of the feature graph for generation: target tokens, called units in names.

A target is a sequence of token ids. `END` ends it, `UNKNOWN` is a character that is no subword, and
from `FIRST_PIECE` on are the subwords of the vocabulary. The ids after them, from `copies` on, copy
a word of the record's own text, the source, from its first position there, without or with a space
before it. A word that is a subword is always written as that subword, even if the source has it, so
that equal texts have equal tokens.
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
"""Token id at a position of the source without a word."""

TEXT = "text"
"""Suffix of the feature that is a whole text."""

TEXTS, CUT = "texts", "cut"
"""Names of the counts of a record's text; see `units_graph`."""

_NOWHERE = tf.int64.max
_CHUNK_HOPS = 6
_CHUNK = 2**_CHUNK_HOPS
"""Number of characters in a chunk of a word; no subword crosses the border of a chunk."""


class Texts(WithoutMoments):
    """Label part of the feature graph for generation."""

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
        return {}  # `input_graph` looks up labels and source words in one table


def copies(task: GenerationTask) -> int:
    """Returns the first token id that copies a word.

    The token that copies the word at position p is `copies + p`; with a space before the word, it
    is `copies + length + p`, where `length` is that of the text features.
    """
    return FIRST_PIECE + task.vocabulary


def target_graph(
    inputs: Mapping[str, tf.Tensor],
    name: str,
    task: GenerationTask,
    source: Source | None,
    analyzers: Analyzers,
) -> Tensors:
    """Returns the features of a generation task.

    Args:
        inputs: Inputs of `preprocessing_fn.raw_feature_spec`.
        name: Name of the task.
        task: Section of the task, with sizes.
        source: Words of the records' texts; None if the spec has no texts.
        analyzers: Analyzers for the subwords.

    Returns:
        `units_<task>` if there is a source, see `source_graph`; `label_<task>` and its counts, see
        `units_graph`; and `label_<task>.text`, the whole text, string `[batch]`.
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
    """Splits texts into words, each with the space before it; joined, they are the text.

    Args:
        texts: UTF-8, string `[batch]`, in which white space is single spaces.
    """
    words, starts, ends = words_graph(texts, space=" ")
    gap = spaced_graph(starts, ends).flat_values
    return words.with_flat_values(tf.where(gap, " ", "") + words.flat_values)


def source_graph(source: Source, task: GenerationTask, lookup: Lookup) -> tf.Tensor:
    """Returns the tokens that write each word of the source, int64 `[batch, 2 * length]`.

    The first half is for the words with or without a space before them, as in the text; the second
    half for the opposite. `NO_UNIT` if there is no word.
    """
    words, spaced, length = source
    index = _first_indices(words, words)
    units = []
    for variant in (spaced.flat_values, ~spaced.flat_values):
        piece = lookup(tf.where(variant, " ", "") + words.flat_values)
        copied = copies(task) + tf.cast(variant, tf.int64) * length + index
        unit = words.with_flat_values(tf.where(piece >= 0, piece + FIRST_PIECE, copied))
        units.append(unit.to_tensor(NO_UNIT, shape=[None, length]))
    return tf.concat(units, axis=1)


def units_graph(
    texts: tf.Tensor, given: tf.Tensor, source: Source | None, task: GenerationTask, lookup: Lookup
) -> tuple[tf.Tensor, Tensors]:
    """Converts texts to target tokens.

    Args:
        texts: UTF-8, string `[batch]`, in which white space is single spaces.
        given: 1 if the record has a text, else 0, int64 `[batch]`.
        source: Words of the records' own texts; None if the spec has no texts.
        task: Section of the task, with sizes.
        lookup: Function from strings to ids of the task's subwords.

    Returns:
        Tokens, int64 `[batch, length of the task]`: `END` after the last token; `MISSING_LABEL`
        everywhere if there is no text. And counts, int64 `[batch]`: `TEXTS`, 1 if there is a text;
        `CUT`, 1 if the text is too long to be followed by an `END`.
    """
    words = spaced_words(texts)
    flat = words.flat_values
    units = segments_graph(flat, lookup)
    number, first = units.row_lengths(), _first_units(units)
    is_piece = tf.equal(number, 1) & tf.not_equal(first, UNKNOWN)
    if source is not None:
        bare = tf.strings.regex_replace(flat, "^ ", "")
        spaced = tf.cast(tf.not_equal(flat, bare), tf.int64)
        index = _first_indices(source.words, words.with_flat_values(bare))
        copied = (index < _NOWHERE) & ~is_piece
        unit = copies(task) + spaced * source.length + index
        row = units.value_rowids()
        kept = tf.equal(row_places(units), 0) | ~tf.gather(copied, row)
        values = tf.where(tf.gather(copied, row), tf.gather(unit, row), units.flat_values)
        number = tf.where(~copied, number, 1)
        units = tf.RaggedTensor.from_row_lengths(tf.boolean_mask(values, kept), number)
    length = task.length
    rows = tf.gather(words.value_rowids(), units.value_rowids())
    whole = tf.RaggedTensor.from_value_rowids(units.flat_values, rows, nrows=words.nrows())
    has_text = given > 0
    dense = whole.to_tensor(END, shape=[None, length])
    masks = {TEXTS: has_text, CUT: has_text & (whole.row_lengths() >= length)}
    return (
        tf.where(has_text[:, tf.newaxis], dense, MISSING_LABEL),
        {name: tf.cast(mask, tf.int64) for name, mask in masks.items()},
    )


def segments_graph(words: tf.Tensor, lookup: Lookup) -> tf.RaggedTensor:
    """Splits words, string `[n]`, into tokens, int64, ragged `[n, tokens]`.

    From the left, each token is the longest subword that matches. The longest subwords from all
    characters are looked up at once; those reached from the first character are then found by
    pointer doubling.
    """
    characters = tf.strings.unicode_split(words, "UTF-8")
    index, row = row_places(characters), characters.value_rowids()
    size = tf.size(index, tf.int64)
    begins = tf.equal(index % _CHUNK, 0)
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
    """Returns the first token of each row; `UNKNOWN` for an empty row."""
    return units.to_tensor(UNKNOWN, shape=[None, 1])[:, 0]


def _first_indices(source: tf.RaggedTensor, words: tf.RaggedTensor) -> tf.Tensor:
    """Returns each word's first index in its row of the source; `_NOWHERE` if it is not there."""
    count = tf.size(source.flat_values)
    _, number = tf.unique(
        tf.concat([source.flat_values, words.flat_values], axis=0), out_idx=tf.int64
    )
    row = tf.concat([source.value_rowids(), words.value_rowids()], axis=0)
    _, same = tf.unique(row * tf.size(number, tf.int64) + number, out_idx=tf.int64)
    nowhere = tf.fill(tf.shape(words.flat_values), _NOWHERE)
    indices = tf.concat([row_places(source), nowhere], axis=0)
    first = tf.math.unsorted_segment_min(indices, same, tf.size(same, tf.int64))
    return tf.gather(first, same[count:])
