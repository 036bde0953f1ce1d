"""The labels' part of the feature graph: classes, sets of classes, and tags of words."""

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from transforms.analyzers import Analyzers
from transforms.spec import MISSING_LABEL, Spec

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
    """The features of all labels; see `preprocessing.preprocessing_fn`.

    Args:
        inputs: See `preprocessing.raw_feature_spec`.
        spec: Names the tasks.
        words: Of the texts; None where no task is tagging.
        analyzers: Give the vocabularies of classes.
    """
    outputs: Tensors = {}
    for name, task in spec.tasks.items():
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
        the spans, int64 `[batch]`: `SPANS`, all of them; `CUT`, those that reach into words that
        are left out; `MISALIGNED`, those of which a word is only in part, or of which no word is
        left although none is left out.
    """
    ids = tf.SparseTensor(
        classes.indices, _label_ids(classes, task, analyzers), classes.dense_shape
    )
    columns = [tf.sparse.to_dense(one) for one in (ids, starts, ends)]
    # One column more, of no span: nothing below is empty.
    label, first, last = (tf.pad(one, [[0, 0], [0, 1]])[:, :, tf.newaxis] for one in columns)
    there = last > first
    begin, end = words.starts[:, tf.newaxis], words.ends[:, tf.newaxis]
    inside = there & (begin < last) & (end > first)
    owned = inside & tf.equal(tf.cumsum(tf.cast(inside, tf.int64), axis=1), 1)
    begins = owned & tf.equal(tf.cumsum(tf.cast(owned, tf.int64), axis=2), 1)
    tags = tf.where(owned, 2 * label + tf.where(begins, tf.ones_like(label), 2), 0)
    known = (given > 0)[:, tf.newaxis] & (words.ends > 0)
    partly = tf.reduce_any(inside & ((begin < first) | (end > last)), axis=2)
    there, last = there[:, :, 0], last[:, :, 0]
    cut = there & (last > words.beyond[:, tf.newaxis])
    lost = ~tf.reduce_any(owned, axis=2) & ~cut
    counted = {SPANS: there, CUT: cut, MISALIGNED: there & (partly | lost)}
    counts = {name: tf.reduce_sum(tf.cast(one, tf.int64), axis=1) for name, one in counted.items()}
    return tf.where(known, tf.reduce_sum(tags, axis=1), MISSING_LABEL), counts


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
