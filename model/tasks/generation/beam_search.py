"""Beam search for the likeliest text of each record; with one beam it is a greedy search.

Units are the output tokens of a text, numbered as in `Decoder`. A hypothesis is the beginning of a
text.
"""

from typing import NamedTuple, TypeAlias

import tensorflow as tf

from triad_ml.model.tasks.generation.decoder import Cache, Decoder, Logits, Memory
from triad_ml.transforms.targets.texts import END, UNKNOWN

Tensor: TypeAlias = tf.Tensor

_NEVER = -1e9
_SMALLEST = 1e-30


class Found(NamedTuple):
    """Best text of each record.

    Attributes:
        units: Units of the texts, int64 `[batch, length]`; `END` after the last one.
        scores: Probability of exactly this text, float32 `[batch]`.
    """

    units: Tensor
    scores: Tensor


class _State(NamedTuple):
    """Hypotheses of each record, `[batch, beams]`, the best first.

    Attributes:
        place: Number of steps so far, int32 scalar.
        units: Units of the hypotheses, int64 `[batch, beams, length]`.
        totals: Log-probabilities of the hypotheses, float32 `[batch, beams]`.
        lengths: Number of units of the hypotheses, float32 `[batch, beams]`.
        done: True for hypotheses that have ended, bool `[batch, beams]`.
        cache: Keys and values of the decoder for the units so far.
    """

    place: Tensor
    units: Tensor
    totals: Tensor
    lengths: Tensor
    done: Tensor
    cache: Cache


def search(decoder: Decoder, memory: Memory, wanted: Tensor) -> Found:
    """Searches until each record's best hypothesis ends or has the largest length.

    Each step keeps the hypotheses with the highest mean log-probability per unit. A record stops as
    soon as its best hypothesis has ended, so its text does not depend on the other records of the
    batch.

    Args:
        decoder: Decoder of the task, with the number of beams and the largest length.
        memory: Memory of the records.
        wanted: Mask of the records to generate a text for, bool `[batch]`; the others get empty
            texts.
    """
    rows, beams = tf.shape(wanted)[0], decoder.beam
    looked_at = decoder.looked_at(memory)
    first = tf.range(beams)[tf.newaxis] == 0
    zeros = tf.zeros(tf.stack([rows, beams]))
    initial = _State(
        place=tf.constant(0),
        units=tf.zeros(tf.stack([rows, beams, decoder.length]), tf.int64),
        totals=tf.where(first, zeros, _NEVER),
        lengths=zeros,
        done=(zeros > 0) | ~wanted[:, tf.newaxis],
        cache=decoder.empty_cache(rows),
    )

    def unfinished(state: _State) -> Tensor:
        return ~tf.reduce_all(state.done)

    def step(state: _State) -> tuple[_State]:
        before = tf.gather(state.units, tf.maximum(state.place - 1, 0), axis=2)
        logits, cache = decoder.step(before, state.place, state.cache, looked_at, memory)
        return (_best(state, cache, _logarithms(logits, memory, decoder)),)

    hypotheses = tf.TensorShape([None, beams])
    shapes = _State(
        place=tf.TensorShape([]),
        units=tf.TensorShape([None, beams, decoder.length]),
        totals=hypotheses,
        lengths=hypotheses,
        done=hypotheses,
        cache=decoder.cache_shapes(),
    )
    (final,) = tf.while_loop(
        unfinished, step, (initial,), (shapes,), maximum_iterations=decoder.length
    )
    return Found(final.units[:, 0], tf.exp(tf.minimum(final.totals[:, 0], 0.0)))


def _best(state: _State, cache: Cache, logarithms: Tensor) -> _State:
    """Selects the best of all hypotheses with one more unit.

    Args:
        state: Hypotheses so far.
        cache: Keys and values of the decoder, including the last unit of each hypothesis.
        logarithms: Log-probabilities of the next units, float32 `[batch, beams, units]`.
    """
    rows, beams, number = tf.unstack(tf.shape(logarithms))
    count = state.units.shape[1]
    ended = tf.where(tf.range(number) == END, 0.0, _NEVER)
    more = tf.where(state.done[:, :, tf.newaxis], ended, logarithms)
    totals = state.totals[:, :, tf.newaxis] + more
    lengths = state.lengths + tf.cast(~state.done, tf.float32)
    means = totals / tf.maximum(lengths, 1.0)[:, :, tf.newaxis]
    _, chosen = tf.math.top_k(tf.reshape(means, tf.stack([rows, beams * number])), count)
    beam, unit = chosen // number, tf.cast(chosen % number, tf.int64)

    def of(values: Tensor) -> Tensor:
        return tf.gather(values, beam, batch_dims=1)

    here = tf.range(state.units.shape[2]) == state.place
    units = tf.where(here, unit[:, :, tf.newaxis], of(state.units))
    done = of(state.done) | tf.equal(unit, END)
    return _State(
        place=state.place + 1,
        units=units,
        totals=tf.gather(tf.reshape(totals, [rows, -1]), chosen, batch_dims=1),
        lengths=of(lengths),
        done=done | done[:, :1],
        cache=[(of(keys), of(values)) for keys, values in cache],
    )


def _logarithms(logits: Logits, memory: Memory, decoder: Decoder) -> Tensor:
    """Computes log-probabilities of all units, float32 `[batch, beams, pieces + 2 * words]`.

    The probability of a unit is the sum over all ways to write it: as a subword, and as a copy of
    each word of the source that is the same.
    """
    joined = tf.nn.softmax(tf.concat([logits.pieces, logits.copies], axis=2))
    pieces, copies = joined[:, :, : decoder.num_pieces], joined[:, :, decoder.num_pieces :]
    shares = tf.pad(pieces, [[0, 0], [0, 0], [0, 2 * decoder.words]])
    if decoder.words:
        rows, beams, number = tf.unstack(tf.shape(shares))
        base = tf.reshape(tf.range(rows * beams), tf.stack([rows, beams, 1])) * number
        units = tf.cast(memory.units, tf.int32)[:, tf.newaxis]
        segments = tf.where(units >= 0, base + units, -1)
        summed = tf.math.unsorted_segment_sum(
            tf.reshape(copies, [-1]), tf.reshape(segments, [-1]), rows * beams * number
        )
        shares = shares + tf.reshape(summed, tf.shape(shares))
    allowed = tf.range(tf.shape(shares)[2]) != UNKNOWN
    return tf.where(allowed, tf.math.log(tf.maximum(shares, _SMALLEST)), _NEVER)
