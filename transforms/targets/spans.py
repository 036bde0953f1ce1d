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
"""What is counted of a record's labelled spans; see `tags_graph`."""


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
            places = [getattr(span, part) for span in value or ()]
            feature[f"label_{name}.{part}"].int64_list.value.extend(places)
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
        return {}  # see `marker_graph`, which comes first

    def label_graph(
        self,
        inputs: Mapping[str, tf.Tensor],
        name: str,
        task: TaggingTask,
        text: TextGraph | None,
        analyzers: Analyzers,
    ) -> Tensors:
        assert text is not None  # the spec has texts where it has a tagging task
        label = f"label_{name}"
        places = inputs[f"{label}.start"], inputs[f"{label}.end"]
        tags, counts = tags_graph(
            inputs[label], *places, inputs[f"{label}_given"], text.words, name, analyzers
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
