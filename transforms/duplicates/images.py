"""Fingerprint of an image: a thumbnail of brightness, and a smaller one of colour."""

import io
import struct
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from triad_ml.transforms.duplicates import thumbnails
from triad_ml.transforms.duplicates.base import Bytes, Floats
from triad_ml.transforms.duplicates.thumbnails import SIDE, ThumbnailFingerprint
from triad_ml.transforms.spec.modalities import Modalities

_COLOUR = 8
_BRIGHTNESS = SIDE * SIDE
_LEAST = 2 * SIDE  # sides from which an image is reduced further by whole factors

FLAT = 4.0
"""Standard deviation of the brightness of a thumbnail, of 255, below which an image is flat."""


class ImageFingerprint(ThumbnailFingerprint):
    """Thumbnails of the Y, Cb and Cr of ITU-R BT.601: SIDE x SIDE, and twice 8 x 8.

    The distance of two images is the mean squared difference of their aligned thumbnails over
    their mean variance, colour included. A flat image has no fingerprint.
    """

    size: ClassVar[int] = _BRIGHTNESS + 2 * _COLOUR**2
    limit: ClassVar[float] = 0.04

    def of(self, content: bytes, sections: Modalities) -> bytes | None:
        try:
            with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
                image.draft("YCbCr", (_LEAST, _LEAST))  # decodes a JPEG at down to an eighth
                small = image.convert("YCbCr").reduce(max(1, min(image.size) // _LEAST))
        except (
            UnidentifiedImageError,
            Image.DecompressionBombError,
            OSError,
            SyntaxError,
            ValueError,
            struct.error,  # of damaged chunks behind the pixels, which the feature graph skips
            IndexError,
        ):
            return None
        planes = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BOX))
        brightness = planes[..., 0]
        if brightness.std() < FLAT:
            return None
        cells = planes[..., 1:].reshape(_COLOUR, SIDE // _COLOUR, _COLOUR, SIDE // _COLOUR, 2)
        colour = np.rint(cells.mean(axis=(1, 3))).astype(np.uint8)
        return bytes(brightness.tobytes() + colour.tobytes())

    def pixels(self, fingerprints: Bytes) -> Bytes:
        return fingerprints[:, :_BRIGHTNESS].reshape(-1, SIDE, SIDE)

    def distance(self, first: Bytes, second: Bytes) -> Floats:
        a, b = thumbnails.aligned(self.pixels(first), self.pixels(second), axes=(1, 2))
        colours = _colours(first), _colours(second)
        squares = ((a - b) ** 2).mean(axis=(1, 2)) + _summed((colours[0] - colours[1]) ** 2)
        energy = (a.var(axis=(1, 2)) + b.var(axis=(1, 2))) / 2
        energy += sum(one.var(axis=(1, 2)).sum(axis=1) for one in colours) / 2
        distances: Floats = (squares / np.maximum(energy, FLAT**2)).astype(np.float64)
        return distances


def _colours(fingerprints: Bytes) -> npt.NDArray[np.float32]:
    """Returns Cb and Cr, `[n, 8, 8, 2]`."""
    return fingerprints[:, _BRIGHTNESS:].reshape(-1, _COLOUR, _COLOUR, 2).astype(np.float32)


def _summed(squares: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    summed: npt.NDArray[np.float32] = squares.mean(axis=(1, 2)).sum(axis=1)
    return summed
