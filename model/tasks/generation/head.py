"""Generation tasks: the head, the loss of a text, and the texts that a model writes."""

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
    """Adds a decoder, named `name`.

    Args:
        words: Of the text tower: float32 `[batch, length, width]`, and which words are there; None
            where the spec has no texts.
        joint: What the modalities together say, float32 `[batch, dim]`.
        task: Gives sizes.
        pieces: Of the task's vocabulary.
        spec: Gives `dim` and `dropout`.
        name: Of the layers.

    Returns:
        See `Memory.states`.
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
    """The name of a task's head; of a generation task it is a `Decoder`."""
    return f"head_{task}"


def decoder_of(model: keras.Model, task: str) -> Decoder:
    """The decoder of a generation task."""
    decoder: Decoder = model.get_layer(head_name(task))
    return decoder


def memory_of(states: Tensor, features: Mapping[str, Tensor], task: str) -> Memory:
    """What a decoder looks at.

    Args:
        states: Of the task, as the model gives them.
        features: See `data.Batch`.
        task: Its name.
    """
    always = tf.ones_like(states[:, :1, 0], tf.bool)
    if "text" not in features:
        return Memory(states, always, tf.zeros([tf.shape(states)[0], 0], tf.int64))
    present = features["text_present"][:, tf.newaxis]
    known = present & tf.not_equal(features["text"], PAD)
    units = tf.where(present, features[f"units_{task}"], -1)
    return Memory(states, tf.concat([always, known], axis=1), units)


def without_padding(labels: Tensor) -> Tensor:
    """Leaves out what stands behind the end of the longest text, int64 `[batch, steps]`."""
    longest = tf.reduce_max(tf.reduce_sum(tf.cast(labels > END, tf.int32), axis=1))
    return labels[:, : longest + 1]


class Losses(NamedTuple):
    """Of the texts of a batch.

    Attributes:
        rows: Negative log-likelihoods a unit, float32 `[batch]`; 0 where not known.
        known: Which records have a text, bool `[batch]`.
        right: Whether each unit is the likeliest after the true ones before it, bool `[batch]`.
    """

    rows: Tensor
    known: Tensor
    right: Tensor


def losses(labels: Tensor, logits: Logits, memory: Memory, label_smoothing: float = 0.0) -> Losses:
    """The losses of texts; of records without one nothing goes further, NaN included.

    A unit that neither is a piece nor stands in a text that is visible has no part in it.

    Args:
        labels: int64 `[batch, length]`, numbered as in `Decoder`; negative where there is none.
        logits: Of the same texts, see `Decoder.logits`.
        memory: Of the same records.
        label_smoothing: Share of a unit's mass that is spread over all pieces.
    """
    known = tf.reduce_any(labels >= 0, axis=1)
    there = known[:, tf.newaxis, tf.newaxis]
    pieces, copies = (tf.where(there, one, 0.0) for one in logits)
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
    # Not `lost * counted`: of what has no part, no infinity must come back as NaN.
    lost = tf.where(counted, lost, 0.0)
    count = tf.reduce_sum(tf.cast(counted, tf.float32), axis=1)
    others = tf.reduce_max(tf.where(hit, _NEVER, joined), axis=2)
    right = tf.reduce_all((mine >= others) | ~counted, axis=1)
    return Losses(tf.reduce_sum(lost, axis=1) / tf.maximum(count, 1.0), known, right & known)


def write(
    decoder: Decoder, states: Tensor, features: Mapping[str, Tensor], surfaces: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Writes a text of each record of which any modality is there.

    Args:
        decoder: Of the task.
        states: Of the task, as the model gives them.
        features: See `data.Batch`.
        surfaces: The words of the texts, string `[batch, length]`; None where there are none.

    Returns:
        Texts, string `[batch]`, and the probability of each, float32 `[batch]`.
    """
    task = decoder.name.removeprefix(head_name(""))
    memory = memory_of(states, features, task)
    present = [value for name, value in features.items() if name.endswith("_present")]
    found = beam_search.search(decoder, memory, tf.reduce_any(tf.stack(present), axis=0))
    return decoder.texts(found.units, surfaces), found.scores
