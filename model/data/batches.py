"""Parsing of training files into batches of model inputs and labels."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf

from triad_ml.model.layout import Layout
from triad_ml.model.tasks.base import FeatureDescription
from triad_ml.model.tasks.heads import heads_of
from triad_ml.model.towers.registry import TOWERS
from triad_ml.transforms.features.ids import MISSING_LABEL


class Batch(NamedTuple):
    """Batch of records in the form that the model takes.

    Attributes:
        features: Inputs of the network by name, for the modalities and tasks of the spec: `image`
            uint8 `[batch, size, size, 3]`, or encoded float32 `[batch, width]`; `audio` float32
            `[batch, frames, mel_bins]`, a log-mel spectrogram, or encoded float32 `[batch, width]`,
            or the input of its encoder; `text` int64 `[batch, length]`, token ids; `text_spelling`
            int64 `[batch, length, parts]`, see `word_shapes.spelling_graph`; `<modality>_present`
            bool `[batch]`; `marker_<task>` int64 `[batch, length]`, 1 at marked words;
            `units_<task>` int64 `[batch, 2 * length]`, see
            `decoder.Memory.units`; `scale_<task>` float32 `[batch, 2]`, mean and standard deviation
            of the labels of a regression task in training.
        labels: Labels by task. For classification, class ids, int64 `[batch]`: `MISSING_LABEL` if
            there is no label, the number of classes or more for a class unseen in training. For
            multi-label classification, float32 `[batch, classes + 1]` of 0 and 1: the last column
            is 1 if the set has any class unseen in training, the whole row -1 if there is no label.
            For tagging, int64 `[batch, length]`, see `targets.spans.tags_graph`. For generation,
            int64 `[batch, length of the task]`, see `targets.texts.units_graph`, but numbered as in
            `decoder.Decoder`. For regression, float32 `[batch, 2]`, see `targets.numbers.PARTS`.
        ids: Ids of the records, string `[batch]`; empty in padding rows.
        texts: Strings for generation tasks; empty if the spec has none. By task, the whole target
            text, string `[batch]`, empty if there is none. If the spec has texts, also `SURFACES`:
            the tokens as strings, string `[batch, length]`.
    """

    features: dict[str, tf.Tensor]
    labels: dict[str, tf.Tensor]
    ids: tf.Tensor
    texts: dict[str, tf.Tensor] = {}


def feature_description(layout: Layout) -> FeatureDescription:
    """Describes a record of the training files for `tf.io.parse_example`."""
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
    """Returns the function that parses serialized records, string `[batch]`.

    Raises:
        tf.errors.InvalidArgumentError: In the graph, if a record does not have the layout.
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
    """Converts outputs of the feature graph, or parsed records, to inputs of the model.

    Args:
        features: Features by name. They differ from `Batch.features` in `image`, string `[batch]`
            with the bytes of uint8 `[size, size, 3]` unless it is encoded; in
            `<modality>_present`, int64 `[batch]`; and in `units_<task>`, numbered as in
            `targets.texts`. Features that the model does not read are ignored.
        layout: Layout of the training files.

    Returns:
        Model inputs; see `Batch.features`.
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
    """Pads a batch to `batch_size` rows; padding rows have no modality, no label and no id."""

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
