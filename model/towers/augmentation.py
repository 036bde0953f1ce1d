"""Augmentation of training batches: stateless, so that the seed decides every change."""

from collections.abc import Callable

import tensorflow as tf

from triad_ml.transforms.features.ids import FIRST_TOKEN, UNKNOWN

ZOOM = 0.1
SHIFT = 0.1
CONTRAST = 0.2
BRIGHTNESS = 0.15
TINT = 0.08
BANDS = 0.2
PAUSES = 0.15
LATE = 0.1
HIDDEN_WORDS = 0.15
"""Largest change of each kind, as a share of the whole; of words, the share that is hidden."""

_WHITE = 255.0


def vary_pictures(pixels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirrors, zooms, shifts and recolours images, uint8 `[batch, size, size, 3]`.

    Areas outside of an image become white.
    """
    rows, size = tf.shape(pixels)[0], pixels.shape[1]
    draw = _draws(seed, rows)
    half = 0.5 * (1.0 + draw(-ZOOM, ZOOM))
    centre = 0.5 + draw(-SHIFT, SHIFT, 2)
    boxes = tf.concat([centre - half, centre + half], axis=1)
    mirrored = tf.gather(boxes, [0, 3, 2, 1], axis=1)
    boxes = tf.where(draw(0.0, 1.0) < 0.5, mirrored, boxes)
    moved = tf.image.crop_and_resize(
        pixels, boxes, tf.range(rows), [size, size], extrapolation_value=_WHITE
    )
    gain = (1.0 + draw(-CONTRAST, CONTRAST)) * (1.0 + draw(-TINT, TINT, 3))
    offset = _WHITE * draw(-BRIGHTNESS, BRIGHTNESS)
    coloured = moved * gain[:, tf.newaxis, tf.newaxis] + offset[:, tf.newaxis, tf.newaxis]
    return tf.cast(tf.clip_by_value(tf.round(coloured), 0.0, 255.0), tf.uint8)


def vary_sounds(log_mel: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Shifts audio in time and masks a band and two time spans, float32 `[batch, frames, bins]`.

    Masked values become 0, the mean.
    """
    rows, frames, bins = tf.shape(log_mel)[0], log_mel.shape[1], log_mel.shape[2]
    draw = _draws(seed, rows)
    late = tf.cast(tf.round(draw(-LATE, LATE) * frames), tf.int32)
    sources = tf.range(frames)[tf.newaxis] - late
    moved = tf.gather(log_mel, tf.math.floormod(sources, frames), batch_dims=1)
    inside = (sources >= 0) & (sources < frames)
    for _ in range(2):
        inside &= ~_stretch(frames, draw(0.0, PAUSES), draw(0.0, 1.0))
    heard = ~_stretch(bins, draw(0.0, BANDS), draw(0.0, 1.0))
    return tf.where(inside[:, :, tf.newaxis] & heard[:, tf.newaxis], moved, 0.0)


def hide_words(tokens: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Replaces some of the known tokens by the unknown one, int64 `[batch, length]`.

    Without this, a training split may have no unknown token, and its embedding would stay random.
    """
    hidden = tf.random.stateless_uniform(tf.shape(tokens), seed) < HIDDEN_WORDS
    return tf.where(hidden & (tokens >= FIRST_TOKEN), tf.cast(UNKNOWN, tokens.dtype), tokens)


def _draws(seed: tf.Tensor, rows: tf.Tensor) -> Callable[..., tf.Tensor]:
    """Returns a function that draws uniform float32 `[rows, width]`, new numbers at each call."""
    count = 0

    def draw(low: float, high: float, width: int = 1) -> tf.Tensor:
        nonlocal count
        count += 1
        own = tf.random.experimental.stateless_fold_in(seed, count)
        return tf.random.stateless_uniform([rows, width], own, low, high)

    return draw


def _stretch(length: int, share: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """Marks one span of a `share` of the length in each row, bool `[rows, length]`.

    Args:
        length: Number of columns.
        share: Length of the span, as a share of the columns, float32 `[rows, 1]`.
        place: Start of the span, from 0 (first possible) to 1 (last possible), float32 `[rows, 1]`.
    """
    begin = place * (1.0 - share)
    position = (tf.range(length, dtype=tf.float32)[tf.newaxis] + 0.5) / length
    return (position >= begin) & (position < begin + share)
