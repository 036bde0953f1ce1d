"""Square thumbnails of media: short vectors, buckets of similar ones, and aligned comparison.

A thumbnail is an image, or the spectrogram of a sound. Its vector has the lowest frequencies of its
discrete cosine transform, as a perceptual hash has (Zauner 2010). Random hyperplanes cut the space
of vectors into buckets (Charikar 2002). Two thumbnails are compared after the move and the stretch
of the one that fit the other best, by one step of Lucas and Kanade (1981): so a cropped copy lies
on its original, and a small drawing that differs is seen.
"""

import abc
import functools
import hashlib
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from triad_ml.transforms.duplicates.base import Bytes, Fingerprint, Floats, Keys, Vectors

SIDE = 32
"""Height and width of a thumbnail."""

BUCKET_BITS = 16
"""Number of hyperplanes of a band."""

_ORDER_BITS = 48
_AT_ONCE = 1024  # thumbnails
_BANDS = 32
_WAVES = 8
_SCALE = 2.0**16
_MOST = 1.3  # largest move of a border, in pixels of the thumbnail: 4 % of its side
_EDGE = 2  # pixels at a moved border that are not compared: they may show what the other lacks

_Pixels = npt.NDArray[np.float32]


class ThumbnailFingerprint(Fingerprint):
    """Fingerprint that has a thumbnail, by which a search finds candidates."""

    bucket_bits: ClassVar[int] = BUCKET_BITS
    rough_limit: ClassVar[float] = 0.2

    @abc.abstractmethod
    def pixels(self, fingerprints: Bytes) -> Bytes:
        """Returns the thumbnails of fingerprints, uint8 `[n, SIDE, SIDE]`."""

    def vectors(self, fingerprints: Bytes) -> npt.NDArray[np.int16]:
        return vectors(self.pixels(fingerprints))

    def bands(self, vectors: Vectors) -> Iterator[Keys]:
        return bands(vectors)

    def rough(self, first: Vectors, second: Vectors) -> Floats:
        return rough(first, second)


def vectors(thumbnails: Bytes) -> npt.NDArray[np.int16]:
    """Returns the lowest frequencies of thumbnails, without their mean.

    All sums are of whole numbers, so the result is the same on each machine.

    Args:
        thumbnails: uint8 `[n, SIDE, SIDE]`.

    Returns:
        int16 `[n, 35]`.
    """
    found = np.empty((len(thumbnails), _frequencies().shape[1]), np.int16)
    for start in range(0, len(found), _AT_ONCE):
        pixels = thumbnails[start : start + _AT_ONCE].reshape(-1, SIDE * SIDE).astype(np.float64)
        found[start : start + _AT_ONCE] = np.rint(pixels @ _frequencies() / _SCALE)
    return found


def bands(vectors: Vectors) -> Iterator[Keys]:
    """Yields the keys of vectors, uint64 `[n]`, for each band of hyperplanes.

    The upper bits have the sides of `BUCKET_BITS` hyperplanes, and the lower 48 the distance to one
    more.
    """
    numbers = vectors.astype(np.float32)  # Sums of whole numbers below 2**24 are exact.
    weights = np.left_shift(np.uint64(1), np.arange(BUCKET_BITS, dtype=np.uint64))
    for planes in _hyperplanes():
        sides = numbers @ planes
        bucket = ((sides[:, 1:] > 0) * weights).sum(axis=1, dtype=np.uint64)
        order = (sides[:, 0] + 2.0 ** (_ORDER_BITS - 1)).astype(np.uint64)
        yield (bucket << np.uint64(_ORDER_BITS)) | order


def rough(first: Vectors, second: Vectors) -> Floats:
    """Returns the distances of pairs of vectors: |a - b|**2 / (|a|**2 + |b|**2)."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    sizes = np.einsum("nd,nd->n", a, a) + np.einsum("nd,nd->n", b, b)
    difference = a - b
    squares: Floats = np.einsum("nd,nd->n", difference, difference)
    distances: Floats = squares / np.maximum(sizes, 1.0)
    return distances


def aligned(first: Bytes, second: Bytes, axes: Sequence[int]) -> tuple[_Pixels, _Pixels]:
    """Moves and stretches pairs of thumbnails onto each other.

    Args:
        first: Thumbnails, uint8 `[n, SIDE, SIDE]`.
        second: Thumbnails to compare them with.
        axes: Axes, of 1 and 2, along which they may be moved and stretched.

    Returns:
        Both, float32, smoothed along these axes and without `_EDGE` pixels at each border; each is
        moved by half of the difference.
    """
    a, b = first.astype(np.float32), second.astype(np.float32)
    for axis in axes:
        a, b = _smoothed(a, axis), _smoothed(b, axis)
    moves = _moves(a, b, axes)
    for index, axis in enumerate(axes):
        half = moves[:, 2 * index : 2 * index + 2] * np.float32(0.5)
        a, b = _moved(a, half, axis), _moved(b, -half, axis)
        core = [slice(None)] * 3
        core[axis] = slice(_EDGE, SIDE - _EDGE)
        a, b = a[tuple(core)], b[tuple(core)]
    return a, b


def _moves(a: _Pixels, b: _Pixels, axes: Sequence[int]) -> npt.NDArray[np.float32]:
    """Fits offset and stretch along each axis, in pixels `[n, 2 * axes]`, by least squares.

    A difference in brightness is fitted too.
    """
    middle = (a + b) / 2
    terms = []
    for axis in axes:
        slope = np.gradient(middle, axis=axis)
        terms += [slope, slope * _places(axis)]
    terms.append(np.ones_like(middle))
    system = np.stack([term.reshape(len(a), -1) for term in terms], axis=1)
    wanted = (b - a).reshape(len(a), -1, 1)
    products = (system @ system.transpose(0, 2, 1)).astype(np.float64)
    number = products.shape[1]
    ridge = 1 + 1e-3 * np.trace(products, axis1=1, axis2=2) / number
    products += ridge[:, None, None] * np.eye(number)
    moves = np.linalg.solve(products, (system @ wanted).astype(np.float64))[:, :-1, 0]
    return np.clip(moves, -_MOST, _MOST).astype(np.float32)


def _smoothed(pixels: _Pixels, axis: int) -> _Pixels:
    """Smooths along an axis by the weights 1/4, 1/2, 1/4."""
    border = [(1, 1) if axis == one else (0, 0) for one in range(3)]
    padded = np.moveaxis(np.pad(pixels, border, "edge"), axis, 2)
    smooth = (padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]) * np.float32(0.25)
    return np.moveaxis(smooth, 2, axis)


def _moved(pixels: _Pixels, move: npt.NDArray[np.float32], axis: int) -> _Pixels:
    """Samples pixels along an axis at moved places, with linear interpolation."""
    index = np.arange(SIDE, dtype=np.float32)
    places = index + move[:, :1] + move[:, 1:] * _places(2)[0]
    near = np.abs(np.clip(places, 0, SIDE - 1)[:, :, None] - index)
    weights = np.maximum(0, 1 - near)  # [n, place, pixel]
    moved: _Pixels = weights @ pixels if axis == 1 else pixels @ weights.transpose(0, 2, 1)
    return moved


@functools.cache
def _places(axis: int) -> _Pixels:
    """Returns the places of pixels along an axis, from -1 to 1, of shape `[1, ., .]`."""
    places = (np.arange(SIDE, dtype=np.float32) + 0.5) / (SIDE / 2) - 1
    return places.reshape((1, SIDE, 1) if axis == 1 else (1, 1, SIDE))


@functools.cache
def _frequencies() -> Floats:
    """Returns the waves of a two-dimensional DCT as whole numbers, `[SIDE * SIDE, 35]`."""
    turns = np.pi * np.outer(np.arange(_WAVES), np.arange(SIDE) + 0.5) / SIDE
    waves = np.cos(turns) * np.sqrt(2 / SIDE)
    waves[0] /= np.sqrt(2)
    chosen = [(u, v) for u in range(_WAVES) for v in range(_WAVES - u) if u + v]
    return np.rint(_SCALE * np.stack([np.outer(waves[u], waves[v]).ravel() for u, v in chosen], 1))


@functools.cache
def _hyperplanes() -> npt.NDArray[np.float32]:
    """Returns hyperplanes of +1 and -1, `[_BANDS, dimensions, 1 + BUCKET_BITS]`."""
    shape = (_BANDS, _frequencies().shape[1], 1 + BUCKET_BITS)
    number = int(np.prod(shape))
    drawn = hashlib.shake_256(b"triad near-duplicates").digest(-(-number // 8))
    signs = np.unpackbits(np.frombuffer(drawn, np.uint8))[:number].astype(np.float32)
    return (2 * signs - 1).reshape(shape)
