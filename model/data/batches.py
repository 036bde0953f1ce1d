"""Batches of records: parsing of training files into model inputs and labels."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf

from triad_ml.model.layout import Layout
from triad_ml.model.tasks.base import SURFACES as SURFACES
from triad_ml.model.tasks.base import FeatureDescription
from triad_ml.model.tasks.heads import heads_of
from triad_ml.model.towers.registry import TOWERS
from triad_ml.transforms.features.ids import MISSING_LABEL


class Batch(NamedTuple):
    """Some records as the model takes them.

    Attributes:
        features: `image` uint8 `[batch, size, size, 3]`, or encoded float32 `[batch, width]`,
            `audio` float32 `[batch, frames, mel_bins]`, `text` int64 `[batch, length]`, and
            `<modality>_present` bool `[batch]`; of the spec's modalities only. `text_spelling`
            int64 `[batch, length, parts]`; see `spelling.spelling_graph`. `marker_<task>` int64
            `[batch, length]`, 1 at marked words.
            `units_<task>` int64 `[batch, 2 * length]`; see `decoder.Memory.units`.
        labels: Per task, int64 `[batch]` with `MISSING_LABEL` where there is none and ids from the
            number of classes on for classes that training does not know. Of a multi-label task
            float32 `[batch, classes + 1]` of 0 and 1, a whole row of -1 where there is none; the
            last column says whether the set has any class that training does not know. Of a tagging
            task int64 `[batch, length]`; see `label_graphs.tags_graph`. Of a generation task int64
            `[batch, length of the task]`; see `target_graphs.units_graph`, but numbered as in
            `decoder.Decoder`.
        ids: string `[batch]`; empty in the rows that only fill a batch up.
        texts: Where some task is generation: by such a task the whole text to be written, string
            `[batch]`, empty where there is none; and `SURFACES` where the spec has texts, string
            `[batch, length]`, see `preprocessing.preprocessing_fn`.
    """

    features: dict[str, tf.Tensor]
    labels: dict[str, tf.Tensor]
    ids: tf.Tensor
    texts: dict[str, tf.Tensor] = {}


def feature_description(layout: Layout) -> FeatureDescription:
    """How `tf.io.parse_example` reads a record of the training files."""
    sections = layout.spec.modalities
    features: FeatureDescription = {"id": tf.io.FixedLenFeature([], tf.string)}
    for name in sections.names:
        features |= TOWERS[name].columns(layout)
    for name in sections.names:
        features[f"{name}_present"] = tf.io.FixedLenFeature([], tf.int64)
    for head in heads_of(layout.spec, layout.classes).values():
        features |= head.input_features() | head.label_features()
    return features


def parse(layout: Layout) -> Callable[[tf.Tensor], Batch]:
    """Makes the function that parses serialized records, string `[batch]`.

    Raises:
        tf.errors.InvalidArgumentError: In the graph, where a record is not of the layout.
    """
    description = feature_description(layout)
    heads = heads_of(layout.spec, layout.classes)

    def parsed(serialized: tf.Tensor) -> Batch:
        columns = tf.io.parse_example(serialized, description)
        labels = {name: head.labels(columns) for name, head in heads.items()}
        texts: dict[str, tf.Tensor] = {}
        for head in heads.values():
            texts |= head.texts(columns)
        return Batch(model_inputs(columns, layout), labels, columns["id"], texts)

    return parsed


def model_inputs(features: Mapping[str, tf.Tensor], layout: Layout) -> dict[str, tf.Tensor]:
    """Turns what the feature graph gives, or a parsed record holds, into what the model takes.

    Args:
        features: `image` string `[batch]`, the bytes of uint8 `[size, size, 3]`, or encoded
            float32 `[batch, width]`; `audio` float32 `[batch, frames, mel_bins]`; `text` and
            `marker_<task>` int64 `[batch, length]`; `units_<task>` int64 `[batch, 2 * length]`;
            `<modality>_present` int64 `[batch]`. Others are left out.
        layout: Names and sizes.

    Returns:
        See `Batch.features`.
    """
    sections = layout.spec.modalities
    inputs: dict[str, tf.Tensor] = {}
    for name in sections.names:
        inputs |= TOWERS[name].parse(features, layout)
    for name in sections.names:
        inputs[f"{name}_present"] = tf.cast(features[f"{name}_present"], tf.bool)
    for head in heads_of(layout.spec, layout.classes).values():
        inputs |= head.inputs(features)
    return inputs


def pad_batch(batch: Batch, batch_size: int) -> Batch:
    """Fills a batch up to `batch_size` rows that hold no modality, no label and no id."""

    def rows(values: tf.Tensor) -> tf.Tensor:
        return tf.concat([[batch_size - tf.shape(values)[0]], tf.shape(values)[1:]], axis=0)

    def joined(values: tf.Tensor, filler: tf.Tensor) -> tf.Tensor:
        whole = tf.concat([values, filler], axis=0)
        return tf.ensure_shape(whole, [batch_size, *values.shape[1:]])

    def empty(values: tf.Tensor) -> tf.Tensor:
        return joined(values, tf.zeros(rows(values), values.dtype))

    def missing(values: tf.Tensor) -> tf.Tensor:
        return joined(values, tf.fill(rows(values), tf.cast(MISSING_LABEL, values.dtype)))

    features = {name: empty(values) for name, values in batch.features.items()}
    labels = {name: missing(values) for name, values in batch.labels.items()}
    texts = {name: empty(values) for name, values in batch.texts.items()}
    return Batch(features, labels, empty(batch.ids), texts)
