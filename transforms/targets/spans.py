"""Label part of the feature graph for tagging: tags of words, and marked words."""

from collections.abc import Mapping

import tensorflow as tf

from triad_ml.transforms.features.analyzers import Analyzers
from triad_ml.transforms.features.ids import MISSING_LABEL
from triad_ml.transforms.features.words import _NOWHERE, Words
from triad_ml.transforms.records.values import Span
from triad_ml.transforms.spec.tasks import TaggingTask
from triad_ml.transforms.targets.base import (
    Features,
    FeatureSpec,
    Tensors,
    TextGraph,
    WithoutMoments,
    given_label,
    write_strings,
)
from triad_ml.transforms.targets.classes import _label_ids

SPANS, CUT, MISALIGNED = "spans", "cut", "misaligned"
"""Names of the counts of a record's labelled spans; see `tags_graph`."""


class Spans(WithoutMoments):
    """Label part of the feature graph for tagging."""

    counts: tuple[str, ...] = (SPANS, CUT, MISALIGNED)

    def raw_features(self, name: str, task: TaggingTask) -> FeatureSpec:
        features = given_label(name)
        for part in ("start", "end"):
            features[f"label_{name}.{part}"] = tf.io.VarLenFeature(tf.int64)
        if task.marker:
            features[f"marker_{name}"] = tf.io.FixedLenFeature([2], tf.int64)
        return features

    def serialize(self, value: tuple[Span, ...] | None, name: str, feature: Features) -> None:
        for part in ("start", "end"):
            offsets = [getattr(span, part) for span in value or ()]
            feature[f"label_{name}.{part}"].int64_list.value.extend(offsets)
        write_strings(None if value is None else tuple(span.label for span in value), name, feature)

    def text_graph(self, text: TextGraph) -> Tensors:
        return {"text_start": text.words.starts, "text_end": text.words.ends}

    def input_graph(
        self,
        inputs: Mapping[str, tf.Tensor],
        name: str,
        task: TaggingTask,
        text: TextGraph | None,
        analyzers: Analyzers,
    ) -> Tensors:
        return {}  # `preprocessing_fn` calls `marker_graph` before

    def label_graph(
        self,
        inputs: Mapping[str, tf.Tensor],
        name: str,
        task: TaggingTask,
        text: TextGraph | None,
        analyzers: Analyzers,
    ) -> Tensors:
        assert text is not None  # a spec with a tagging task has texts
        label = f"label_{name}"
        bounds = inputs[f"{label}.start"], inputs[f"{label}.end"]
        tags, counts = tags_graph(
            inputs[label], *bounds, inputs[f"{label}_given"], text.words, name, analyzers
        )
        return {label: tags, **{f"{label}.{count}": values for count, values in counts.items()}}


def tags_graph(
    classes: tf.SparseTensor,
    starts: tf.SparseTensor,
    ends: tf.SparseTensor,
    given: tf.Tensor,
    words: Words,
    task: str,
    analyzers: Analyzers,
) -> tuple[tf.Tensor, Tensors]:
    """Aligns spans to words: a word belongs to the first span that contains any of its characters.

    Time and memory grow with the sum of spans and words, not with their product.

    Args:
        classes: Classes of the spans, string `[batch, spans]`.
        starts: Index of each span's first character, int64 `[batch, spans]`, rising; spans do not
            overlap.
        ends: Index after each span's last character, int64 `[batch, spans]`.
        given: 1 if the record has a label, else 0, int64 `[batch]`.
        words: Offsets of the words of the texts.
        task: Name of the task.
        analyzers: Analyzers for the ids of the classes.

    Returns:
        Tags, int64 `[batch, length]`: 0 outside of spans, 1 + 2c at the first word of a span of
        class c, 2 + 2c at its other words, `MISSING_LABEL` if there is no word or no label. And
        counts of spans, int64 `[batch]`: `SPANS`, all spans; `CUT`, spans that reach into the words
        that are cut off; `MISALIGNED`, spans that contain only a part of a word, and spans that are
        not cut but have no word left.
    """
    ids = tf.SparseTensor(
        classes.indices, _label_ids(classes, task, analyzers), classes.dense_shape
    )
    label, first, last = (tf.sparse.to_dense(sparse) for sparse in (ids, starts, ends))
    is_span = last > first
    # Padding, and one more column, become spans after every text: so offsets rise, and each word
    # finds a span.
    label = tf.pad(label, [[0, 0], [0, 1]])
    first, last = (
        tf.pad(tf.where(is_span, offsets, _NOWHERE), [[0, 0], [0, 1]], constant_values=_NOWHERE)
        for offsets in (first, last)
    )
    is_span = tf.pad(is_span, [[0, 0], [0, 1]])
    is_word = words.ends > 0
    span = tf.searchsorted(last, words.starts, side="right", out_type=tf.int64)
    span = tf.minimum(span, tf.shape(last, tf.int64)[1] - 1)  # for positions without a word
    inside = is_word & (tf.gather(first, span, batch_dims=1) < words.ends)
    inside = inside & tf.gather(is_span, span, batch_dims=1)
    before = tf.pad(tf.where(inside, span, -1), [[0, 0], [1, 0]], constant_values=-1)[:, :-1]
    continues = tf.cast(tf.equal(span, before), tf.int64)
    tags = 2 * tf.gather(label, span, batch_dims=1) + 1 + continues
    tags = tf.where(is_word & (given > 0)[:, tf.newaxis], tf.where(inside, tags, 0), MISSING_LABEL)
    cut = is_span & (last > words.beyond[:, tf.newaxis])
    lost = ~(_any_word(span, inside, tf.shape(last, tf.int64)) | cut)
    misaligned = is_span & (_splits(first, words) | _splits(last, words) | lost)
    masks = {SPANS: is_span, CUT: cut, MISALIGNED: misaligned}
    counts = {name: tf.reduce_sum(tf.cast(mask, tf.int64), axis=1) for name, mask in masks.items()}
    return tags, counts


def _any_word(span: tf.Tensor, inside: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Returns True for each span that has a word, bool of shape `shape`.

    Args:
        span: Index of each word's span, int64 `[batch, length]`.
        inside: True if the word is inside of that span, bool `[batch, length]`.
        shape: Batch size and number of spans, int64 `[2]`.
    """
    rows = tf.range(shape[0])[:, tf.newaxis] * shape[1]
    number = tf.math.unsorted_segment_sum(
        tf.cast(inside, tf.int64), rows + span, shape[0] * shape[1]
    )
    return tf.reshape(number, shape) > 0


def _splits(edges: tf.Tensor, words: Words) -> tf.Tensor:
    """Returns True for each edge, int64 `[batch, edges]`, that is inside a word."""
    starts = tf.where(words.ends > 0, words.starts, _NOWHERE)
    index = tf.searchsorted(starts, edges, side="left", out_type=tf.int64) - 1
    return (index >= 0) & (tf.gather(words.ends, tf.maximum(index, 0), batch_dims=1) > edges)


def marker_graph(marked: tf.Tensor, words: Words) -> tf.Tensor:
    """Returns 1 for each word with a marked character, else 0, int64 `[batch, length]`.

    Args:
        marked: Index of the first and index after the last marked character, int64 `[batch, 2]`;
            `ids.NO_MARKER` without a marker.
        words: Offsets of the words of the texts.
    """
    first, last = marked[:, :1], marked[:, 1:]
    inside = (words.ends > 0) & (words.starts < last) & (words.ends > first)
    return tf.cast(inside, tf.int64)
