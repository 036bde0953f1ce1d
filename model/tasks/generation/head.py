"""Generation head: its layers, the loss of a text, and generated texts."""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import keras
import tensorflow as tf
from keras import ops

from triad_ml.model.tasks.generation import beam_search
from triad_ml.model.tasks.generation.decoder import Decoder, Logits, Memory
from triad_ml.model.towers import word_context
from triad_ml.transforms.features.ids import PAD
from triad_ml.transforms.spec.model import ModelSpec
from triad_ml.transforms.spec.tasks import GenerationTask
from triad_ml.transforms.targets.texts import END

Tensor: TypeAlias = tf.Tensor
Words = tuple[keras.KerasTensor, keras.KerasTensor]

_NEVER = -1e9


def head(
    words: Words | None,
    joint: keras.KerasTensor,
    task: GenerationTask,
    pieces: tuple[str, ...],
    spec: ModelSpec,
    name: str,
) -> keras.KerasTensor:
    """Adds dilated convolutions over the words, and a decoder.

    Args:
        words: Word vectors of the text tower, float32 `[batch, length, width]`, and their mask,
            bool `[batch, length]`; None if the spec has no texts.
        joint: Joint embedding of the modalities, float32 `[batch, dim]`.
        task: Section of the spec for the task, with sizes.
        pieces: Subwords of the task's vocabulary.
        spec: Section `model` of the spec, with `dim` and `dropout`.
        name: Name of the decoder, and prefix of the other layers' names.

    Returns:
        States that the decoder attends to; see `Memory.states`.
    """
    context = keras.layers.Dense(spec.dim, name=f"{name}_context")(joint)
    states = context[:, None, :]
    number = 0
    if words is not None:
        sequence, known = words
        number = sequence.shape[1]
        own = keras.layers.Dense(spec.dim, name=f"{name}_words")(sequence)
        near = word_context.in_context(own + states, known, spec, name)
        states = ops.concatenate([states, near], axis=1)
    decoder = Decoder(pieces, task.length, number, spec.dim, spec.dropout, task.beam, name=name)
    return decoder(states)


def head_name(task: str) -> str:
    """Returns the name of the layer with a task's head, for a generation task a `Decoder`."""
    return f"head_{task}"


def decoder_of(model: keras.Model, task: str) -> Decoder:
    """Returns the decoder of a generation task from a model."""
    decoder: Decoder = model.get_layer(head_name(task))
    return decoder


def memory_of(states: Tensor, features: Mapping[str, Tensor], task: str) -> Memory:
    """Returns the memory of a decoder for a batch.

    Args:
        states: Output of the model for the task.
        features: Features of the batch; see `batches.Batch`.
        task: Name of the task.
    """
    always = tf.ones_like(states[:, :1, 0], tf.bool)
    if "text" not in features:
        return Memory(states, always, tf.zeros([tf.shape(states)[0], 0], tf.int64))
    present = features["text_present"][:, tf.newaxis]
    known = present & tf.not_equal(features["text"], PAD)
    units = tf.where(present, features[f"units_{task}"], -1)
    return Memory(states, tf.concat([always, known], axis=1), units)


def without_padding(labels: Tensor) -> Tensor:
    """Cuts labels after the end of the longest text, to int64 `[batch, steps]`."""
    longest = tf.reduce_max(tf.reduce_sum(tf.cast(labels > END, tf.int32), axis=1))
    return labels[:, : longest + 1]


class Losses(NamedTuple):
    """Losses of the texts of a batch.

    Attributes:
        rows: Negative log-likelihoods per unit, float32 `[batch]`; 0 for records without a text.
        known: Mask of the records with a text, bool `[batch]`.
        right: True if each unit is the likeliest after the true ones before it, bool `[batch]`.
    """

    rows: Tensor
    known: Tensor
    right: Tensor


def losses(labels: Tensor, logits: Logits, memory: Memory, label_smoothing: float = 0.0) -> Losses:
    """Computes the losses of texts.

    Logits of records without a text are replaced, NaN included, so their gradient is exactly zero.
    A unit that is not a subword, and not in the visible text either, is left out of the loss.

    Args:
        labels: Units of the true texts, int64 `[batch, length]`, numbered as in `Decoder`; negative
            if there is no text.
        logits: Logits of the same texts, see `Decoder.logits`.
        memory: Memory of the same records.
        label_smoothing: Share of a unit's probability mass that is spread over all subwords.
    """
    known = tf.reduce_any(labels >= 0, axis=1)
    has_text = known[:, tf.newaxis, tf.newaxis]
    pieces, copies = (tf.where(has_text, part, 0.0) for part in logits)
    number = pieces.shape[2]
    hot = tf.one_hot(labels, number, on_value=True, off_value=False, dtype=tf.bool)
    same = tf.equal(memory.units[:, tf.newaxis], labels[:, :, tf.newaxis])
    joined = tf.concat([pieces, copies], axis=2)
    hit = tf.concat([hot, same], axis=2)
    mine = tf.reduce_logsumexp(tf.where(hit, joined, _NEVER), axis=2)
    total = tf.reduce_logsumexp(joined, axis=2)
    ends = tf.cast(tf.equal(labels, END), tf.int32)
    counted = tf.reduce_any(hit, axis=2) & tf.equal(tf.cumsum(ends, axis=1, exclusive=True), 0)
    counted &= known[:, tf.newaxis]
    lost = total - mine
    if label_smoothing:
        spread = total - tf.reduce_mean(pieces, axis=2)
        lost = (1.0 - label_smoothing) * lost + label_smoothing * spread
    # Not `lost * counted`, which would turn an infinity of a unit that is left out into NaN.
    lost = tf.where(counted, lost, 0.0)
    count = tf.reduce_sum(tf.cast(counted, tf.float32), axis=1)
    others = tf.reduce_max(tf.where(hit, _NEVER, joined), axis=2)
    right = tf.reduce_all((mine >= others) | ~counted, axis=1)
    return Losses(tf.reduce_sum(lost, axis=1) / tf.maximum(count, 1.0), known, right & known)


def write(
    decoder: Decoder, states: Tensor, features: Mapping[str, Tensor], surfaces: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Generates a text for each record that has any modality.

    Args:
        decoder: Decoder of the task.
        states: Output of the model for the task.
        features: Features of the batch; see `batches.Batch`.
        surfaces: Words of the records' own texts, string `[batch, length]`; None if the spec has no
            texts.

    Returns:
        Texts, string `[batch]`, empty for a record without any modality, and the probability of
        each, float32 `[batch]`.
    """
    task = decoder.name.removeprefix(head_name(""))
    memory = memory_of(states, features, task)
    present = [value for name, value in features.items() if name.endswith("_present")]
    best = beam_search.search(decoder, memory, tf.reduce_any(tf.stack(present), axis=0))
    return decoder.texts(best.units, surfaces), best.scores
