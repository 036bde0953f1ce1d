"""The labels' part of the feature graph: classes, sets of classes, and tags of words."""

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from triad_ml.transforms.features.analyzers import Analyzers
from triad_ml.transforms.spec.spec import MISSING_LABEL, Spec

Tensors = dict[str, tf.Tensor]

SPANS, CUT, MISALIGNED = "spans", "cut", "misaligned"
"""What is counted of a record's labelled spans; see `tags_graph`."""

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


def label_vocabulary(task: str) -> str:
    """The name of the vocabulary that holds a task's classes."""
    return f"label_{task}_vocabulary"


def labels_graph(
    inputs: Mapping[str, tf.Tensor], spec: Spec, words: Words | None, analyzers: Analyzers
) -> Tensors:
    """The features of all labels but texts; see `preprocessing.preprocessing_fn`.

    Args:
        inputs: See `preprocessing.raw_feature_spec`.
        spec: Names the tasks.
        words: Of the texts; None where no task is tagging.
        analyzers: Give the vocabularies of classes.
    """
    outputs: Tensors = {}
    for name, task in spec.tasks.items():
        if task.kind == "generation":
            continue  # see `target_graphs`
        feature = f"label_{name}"
        classes, given = inputs[feature], inputs[f"{feature}_given"]
        if words is not None and task.kind == "tagging":
            places = inputs[f"{feature}.start"], inputs[f"{feature}.end"]
            outputs[feature], counts = tags_graph(classes, *places, given, words, name, analyzers)
            outputs |= {f"{feature}.{count}": values for count, values in counts.items()}
        else:
            graph = label_set_graph if task.multi_label else label_graph
            outputs[feature] = graph(classes, given, name, analyzers)
    return outputs


def label_graph(
    classes: tf.SparseTensor, given: tf.Tensor, task: str, analyzers: Analyzers
) -> tf.Tensor:
    """Class ids, int64 `[batch]`: one class a record, `MISSING_LABEL` where none is given."""
    rows = tf.cast(tf.shape(given), tf.int64)
    dense = tf.scatter_nd(classes.indices[:, :1], _label_ids(classes, task, analyzers) + 1, rows)
    return tf.where(given > 0, dense, 0) - 1


def label_set_graph(
    classes: tf.SparseTensor, given: tf.Tensor, task: str, analyzers: Analyzers
) -> tf.SparseTensor:
    """Class ids, sparse int64 `[batch, classes]`: `MISSING_LABEL` alone where no set is given."""
    ids = tf.SparseTensor(
        classes.indices, _label_ids(classes, task, analyzers), classes.dense_shape
    )
    none = tf.where(tf.equal(given, 0))
    missing = tf.SparseTensor(
        tf.concat([none, tf.zeros_like(none)], axis=1),
        tf.fill(tf.shape(none, tf.int64)[:1], tf.constant(MISSING_LABEL, tf.int64)),
        ids.dense_shape,
    )
    both = tf.SparseTensor(
        tf.concat([ids.indices, missing.indices], axis=0),
        tf.concat([ids.values, missing.values], axis=0),
        tf.maximum(ids.dense_shape, [0, 1]),
    )
    return tf.sparse.reorder(both)


def tags_graph(
    classes: tf.SparseTensor,
    starts: tf.SparseTensor,
    ends: tf.SparseTensor,
    given: tf.Tensor,
    words: Words,
    task: str,
    analyzers: Analyzers,
) -> tuple[tf.Tensor, Tensors]:
    """Aligns spans to words: a word belongs to the first span that holds any of its characters.

    Time and memory grow with the sum of spans and words, not with their product.

    Args:
        classes: Of the spans, string `[batch, spans]`.
        starts: Their first characters, int64 `[batch, spans]`, rising; spans do not overlap.
        ends: Their behind-the-last characters.
        given: Whether there is a label, int64 `[batch]`.
        words: Of the texts.
        task: Its name.
        analyzers: Give the ids of the classes.

    Returns:
        Tags, int64 `[batch, length]`: 0 outside of spans, 1 + 2c at the first word of a span of
        class c, 2 + 2c at its others, `MISSING_LABEL` where there is no word or no label. And of
        the spans, int64 `[batch]`: `SPANS`, all of them; `CUT`, those that reach past where the
        words begin that are left out; `MISALIGNED`, those of which a word is only in part, or of
        which no word is left although they are not cut.
    """
    ids = tf.SparseTensor(
        classes.indices, _label_ids(classes, task, analyzers), classes.dense_shape
    )
    label, first, last = (tf.sparse.to_dense(one) for one in (ids, starts, ends))
    there = last > first
    # One column more, of no span past all places: the columns rise, and no look-up is empty.
    label = tf.pad(label, [[0, 0], [0, 1]])
    first, last = (
        tf.pad(tf.where(there, one, _NOWHERE), [[0, 0], [0, 1]], constant_values=_NOWHERE)
        for one in (first, last)
    )
    there = tf.pad(there, [[0, 0], [0, 1]])
    is_word = words.ends > 0
    own = tf.searchsorted(last, words.starts, side="right", out_type=tf.int64)
    own = tf.minimum(own, tf.shape(last, tf.int64)[1] - 1)  # of no word
    inside = is_word & (tf.gather(first, own, batch_dims=1) < words.ends)
    inside = inside & tf.gather(there, own, batch_dims=1)
    before = tf.pad(tf.where(inside, own, -1), [[0, 0], [1, 0]], constant_values=-1)[:, :-1]
    goes_on = tf.cast(tf.equal(own, before), tf.int64)
    tags = 2 * tf.gather(label, own, batch_dims=1) + 1 + goes_on
    tags = tf.where(is_word & (given > 0)[:, tf.newaxis], tf.where(inside, tags, 0), MISSING_LABEL)
    cut = there & (last > words.beyond[:, tf.newaxis])
    lost = ~(_any_word(own, inside, tf.shape(last, tf.int64)) | cut)
    misaligned = there & (_splits(first, words) | _splits(last, words) | lost)
    counted = {SPANS: there, CUT: cut, MISALIGNED: misaligned}
    counts = {name: tf.reduce_sum(tf.cast(one, tf.int64), axis=1) for name, one in counted.items()}
    return tags, counts


def _any_word(own: tf.Tensor, inside: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Which spans have a word, bool `shape`; `own` says which span each word is `inside` of."""
    rows = tf.range(shape[0])[:, tf.newaxis] * shape[1]
    found = tf.math.unsorted_segment_sum(tf.cast(inside, tf.int64), rows + own, shape[0] * shape[1])
    return tf.reshape(found, shape) > 0


def _splits(edges: tf.Tensor, words: Words) -> tf.Tensor:
    """Which edges, int64 `[batch, edges]`, have characters of one word on both sides."""
    starts = tf.where(words.ends > 0, words.starts, _NOWHERE)
    place = tf.searchsorted(starts, edges, side="left", out_type=tf.int64) - 1
    return (place >= 0) & (tf.gather(words.ends, tf.maximum(place, 0), batch_dims=1) > edges)


def marker_graph(marked: tf.Tensor, words: Words) -> tf.Tensor:
    """Which words are marked, int64 `[batch, length]`: those with any character that is.

    Args:
        marked: The first and the behind-the-last marked character, int64 `[batch, 2]`;
            `spec.NO_MARKER` where there is none.
        words: Of the texts.
    """
    first, last = marked[:, :1], marked[:, 1:]
    inside = (words.ends > 0) & (words.starts < last) & (words.ends > first)
    return tf.cast(inside, tf.int64)


def _label_ids(classes: tf.SparseTensor, task: str, analyzers: Analyzers) -> tf.Tensor:
    return analyzers.vocabulary_ids(
        classes.values, label_vocabulary(task), top_k=None, unseen="last"
    )
