"""The search for the likeliest text: greedy where one beginning is kept, of more by beams."""

from typing import NamedTuple, TypeAlias

import tensorflow as tf

from triad_ml.model.tasks.generation.decoder import Cache, Decoder, Logits, Memory
from triad_ml.transforms.targets.texts import END, UNKNOWN

Tensor: TypeAlias = tf.Tensor

_NEVER = -1e9
_SMALLEST = 1e-30


class Found(NamedTuple):
    """The best text of each record.

    Attributes:
        units: int64 `[batch, length]`, numbered as in `Decoder`; `END` behind the last.
        scores: The probability of exactly this text, float32 `[batch]`.
    """

    units: Tensor
    scores: Tensor


class _State(NamedTuple):
    """Beginnings, `[batch, beams]` of them, the best first; `length` as that of the decoder."""

    place: Tensor
    units: Tensor  # int64 [batch, beams, length]
    totals: Tensor  # logarithms of probabilities, float32
    lengths: Tensor  # float32
    done: Tensor  # bool
    cache: Cache


def search(decoder: Decoder, memory: Memory, wanted: Tensor) -> Found:
    """Writes until each record's best text ends, or until its length is full.

    At each step those beginnings go on whose mean logarithm a unit is highest. A record whose best
    text has ended does not change any more, so no record depends on its neighbours.

    Args:
        decoder: Gives the beams, and the length.
        memory: Of the records.
        wanted: Which records are written for, bool `[batch]`; the texts of others are empty.
    """
    rows, beams = tf.shape(wanted)[0], decoder.beam
    looked_at = decoder.looked_at(memory)
    first = tf.range(beams)[tf.newaxis] == 0
    zeros = tf.zeros(tf.stack([rows, beams]))
    begun = _State(
        place=tf.constant(0),
        units=tf.zeros(tf.stack([rows, beams, decoder.length]), tf.int64),
        totals=tf.where(first, zeros, _NEVER),
        lengths=zeros,
        done=(zeros > 0) | ~wanted[:, tf.newaxis],
        cache=decoder.empty_cache(rows),
    )

    def goes_on(state: _State) -> Tensor:
        return ~tf.reduce_all(state.done)

    def step(state: _State) -> tuple[_State]:
        before = tf.gather(state.units, tf.maximum(state.place - 1, 0), axis=2)
        logits, cache = decoder.step(before, state.place, state.cache, looked_at, memory)
        return (_best(state, cache, _logarithms(logits, memory, decoder)),)

    beginnings = tf.TensorShape([None, beams])
    shapes = _State(
        place=tf.TensorShape([]),
        units=tf.TensorShape([None, beams, decoder.length]),
        totals=beginnings,
        lengths=beginnings,
        done=beginnings,
        cache=decoder.cache_shapes(),
    )
    (found,) = tf.while_loop(goes_on, step, (begun,), (shapes,), maximum_iterations=decoder.length)
    return Found(found.units[:, 0], tf.exp(tf.minimum(found.totals[:, 0], 0.0)))


def _best(state: _State, cache: Cache, logarithms: Tensor) -> _State:
    """The best of all ways to go on by one unit; `logarithms` are `[batch, beams, units]`."""
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
    """Logarithms of probabilities of all units, `[batch, beams, pieces + 2 * words]`.

    A word that stands in the source more than once, or is a piece as well, has them all.
    """
    joined = tf.nn.softmax(tf.concat([logits.pieces, logits.copies], axis=2))
    pieces, copies = joined[:, :, : decoder.num_pieces], joined[:, :, decoder.num_pieces :]
    shares = tf.pad(pieces, [[0, 0], [0, 0], [0, 2 * decoder.words]])
    if decoder.words:
        rows, beams, number = tf.unstack(tf.shape(shares))
        base = tf.reshape(tf.range(rows * beams), tf.stack([rows, beams, 1])) * number
        units = tf.cast(memory.units, tf.int32)[:, tf.newaxis]
        places = tf.where(units >= 0, base + units, -1)
        summed = tf.math.unsorted_segment_sum(
            tf.reshape(copies, [-1]), tf.reshape(places, [-1]), rows * beams * number
        )
        shares = shares + tf.reshape(summed, tf.shape(shares))
    allowed = tf.range(tf.shape(shares)[2]) != UNKNOWN
    return tf.where(allowed, tf.math.log(tf.maximum(shares, _SMALLEST)), _NEVER)
