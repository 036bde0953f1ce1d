"""Augmentation of training batches: stateless, so that the seed decides every change."""

from collections.abc import Callable, Collection
from typing import TypeAlias

import tensorflow as tf

from triad_ml.transforms.features.ids import FIRST_TOKEN, UNKNOWN
from triad_ml.transforms.spec.training import USUAL

Draw: TypeAlias = Callable[..., tf.Tensor]
"""Function from the number of a draw, its bounds and its width to float32 `[rows, width]`."""

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
_MOVES = frozenset(("mirror", "flip", "zoom", "shift"))


def vary_pictures(
    pixels: tf.Tensor, seed: tf.Tensor, changes: Collection[str] = USUAL
) -> tf.Tensor:
    """Mirrors, flips, zooms, shifts and recolours images, uint8 `[batch, size, size, 3]`.

    Areas outside of an image become white. Each change has draws of its own, which are the same
    whatever the others are.

    Args:
        pixels: Images.
        seed: Seed, int32 `[2]`.
        changes: Names of the changes, see `Augment`; other names are ignored.
    """
    draw = _draws(seed, tf.shape(pixels)[0])
    if not _MOVES.isdisjoint(changes):
        pixels = _cropped(pixels, _boxes(draw, changes))
    return recolour(pixels, draw) if "colour" in changes else _as_bytes(pixels)


def vary_sounds(frames: tf.Tensor, seed: tf.Tensor, changes: Collection[str] = USUAL) -> tf.Tensor:
    """Shifts audio in time and masks a band and two time spans, float32 `[batch, frames, width]`.

    Masked values become 0, the mean. Arguments as in `vary_pictures`.
    """
    draw = _draws(seed, tf.shape(frames)[0])
    number, width = frames.shape[1], frames.shape[2]
    heard = None
    if "shift" in changes:
        frames, heard = shift_frames(frames, draw)
    if "time_mask" in changes:
        loud = time_mask(number, draw)
        heard = loud if heard is None else heard & loud
    mask = None if heard is None else heard[:, :, tf.newaxis]
    if "frequency_mask" in changes:
        band = frequency_mask(width, draw)[:, tf.newaxis]
        mask = band if mask is None else mask & band
    return frames if mask is None else tf.where(mask, frames, 0.0)


def zoom(draw: Draw) -> tf.Tensor:
    """Draws half the height and width of the part of an image that is seen, `[rows, 1]`."""
    return 0.5 * (1.0 + draw(1, -ZOOM, ZOOM))


def shift(draw: Draw) -> tf.Tensor:
    """Draws the centre of the part of an image that is seen, `[rows, 2]`: row and column."""
    return 0.5 + draw(2, -SHIFT, SHIFT, 2)


def mirror(boxes: tf.Tensor, draw: Draw) -> tf.Tensor:
    """Swaps left and right of half of the boxes, `[rows, 4]`: top, left, bottom, right."""
    return tf.where(draw(3, 0.0, 1.0) < 0.5, tf.gather(boxes, [0, 3, 2, 1], axis=1), boxes)


def flip(boxes: tf.Tensor, draw: Draw) -> tf.Tensor:
    """Swaps top and bottom of half of the boxes, as `mirror` does left and right."""
    return tf.where(draw(7, 0.0, 1.0) < 0.5, tf.gather(boxes, [2, 1, 0, 3], axis=1), boxes)


def recolour(pixels: tf.Tensor, draw: Draw) -> tf.Tensor:
    """Changes contrast, tint and brightness of images; returns uint8."""
    gain = (1.0 + draw(4, -CONTRAST, CONTRAST)) * (1.0 + draw(5, -TINT, TINT, 3))
    offset = _WHITE * draw(6, -BRIGHTNESS, BRIGHTNESS)
    coloured = tf.cast(pixels, tf.float32) * gain[:, tf.newaxis, tf.newaxis]
    return _as_bytes(coloured + offset[:, tf.newaxis, tf.newaxis])


def shift_frames(frames: tf.Tensor, draw: Draw) -> tuple[tf.Tensor, tf.Tensor]:
    """Moves the frames of audio in time.

    Returns:
        The frames, moved around the ends, and the mask of those that did not cross an end, bool
        `[batch, frames]`.
    """
    number = frames.shape[1]
    late = tf.cast(tf.round(draw(1, -LATE, LATE) * number), tf.int32)
    sources = tf.range(number)[tf.newaxis] - late
    moved = tf.gather(frames, tf.math.floormod(sources, number), batch_dims=1)
    return moved, (sources >= 0) & (sources < number)


def time_mask(frames: int, draw: Draw) -> tf.Tensor:
    """Draws a mask that is False in two time spans, bool `[rows, frames]`."""
    first, second = (
        _stretch(frames, draw(number, 0.0, PAUSES), draw(number + 1, 0.0, 1.0)) for number in (2, 4)
    )
    return ~first & ~second


def frequency_mask(width: int, draw: Draw) -> tf.Tensor:
    """Draws a mask that is False in one band of features, bool `[rows, width]`."""
    return ~_stretch(width, draw(6, 0.0, BANDS), draw(7, 0.0, 1.0))


def hide_words(tokens: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Replaces some of the known tokens by the unknown one, int64 `[batch, length]`.

    Without this, a training split may have no unknown token, and its embedding would stay random.
    """
    hidden = tf.random.stateless_uniform(tf.shape(tokens), seed) < HIDDEN_WORDS
    return tf.where(hidden & (tokens >= FIRST_TOKEN), tf.cast(UNKNOWN, tokens.dtype), tokens)


def _boxes(draw: Draw, changes: Collection[str]) -> tf.Tensor:
    """Draws the part of each image that is seen, as shares of its size: top, left, bottom, right.

    Left and right, or top and bottom, are swapped where an image is mirrored or flipped.
    """
    half = zoom(draw) if "zoom" in changes else tf.constant([[0.5]])
    centre = shift(draw) if "shift" in changes else tf.constant([[0.5, 0.5]])
    boxes = tf.concat([centre - half, centre + half], axis=1)
    boxes = mirror(boxes, draw) if "mirror" in changes else boxes
    return flip(boxes, draw) if "flip" in changes else boxes


def _cropped(pixels: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    size = pixels.shape[1]
    return tf.image.crop_and_resize(
        pixels, boxes, tf.range(tf.shape(pixels)[0]), [size, size], extrapolation_value=_WHITE
    )


def _as_bytes(pixels: tf.Tensor) -> tf.Tensor:
    if pixels.dtype == tf.uint8:
        return pixels
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0.0, 255.0), tf.uint8)


def _draws(seed: tf.Tensor, rows: tf.Tensor) -> Draw:
    """Returns a function that draws uniform float32 `[rows, width]`, by the number of the draw.

    A change keeps its number, so that its draws do not depend on which others are made.
    """

    def draw(number: int, low: float, high: float, width: int = 1) -> tf.Tensor:
        own = tf.random.experimental.stateless_fold_in(seed, number)
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
