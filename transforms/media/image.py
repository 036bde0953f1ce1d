"""Canonical images: JPEG or PNG files that TensorFlow's op decodes exactly."""

import contextlib
import re
import threading

from triad_ml.transforms.media.decoder import process
from triad_ml.transforms.media.image_files import bare, jpeg_scans, sizes
from triad_ml.transforms.media.image_files.headers import MAX_SIDE
from triad_ml.transforms.records.values import Flaw, MediumError
from triad_ml.transforms.spec.modalities import Limits

_MAGIC: tuple[tuple[str, re.Pattern[bytes]], ...] = tuple(
    (kind, re.compile(pattern, re.DOTALL))
    for kind, pattern in (
        ("JPEG", rb"\xff\xd8\xff"),
        ("PNG", rb"\x89PNG\r\n\x1a\n"),
        ("WEBP", rb"RIFF....WEBP"),
        ("GIF", rb"GIF8[79]a"),
        ("BMP", rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0"),
        ("TIFF", rb"II[*+]\0|MM\0[*+]"),
        ("PPM", rb"P[1-6]\s"),
        ("AVIF", rb"....ftypavi[fs]"),
    )
)
"""Allowed formats, by Pillow's names; a file of another format is never opened."""

_ROOM_PIXELS = 10_000_000
_JPEG_SCALES = (8, 4, 2)
_large = threading.Lock()
"""Lock of the one thread that may decode an image of over `_ROOM_PIXELS` at a time: decoding takes
up to 22 bytes per pixel, and memory must not grow with the number of threads."""


def canonical(content: bytes, limits: Limits) -> bytes:
    """Makes an image canonical: a JPEG or PNG file, 8-bit, upright, opaque, gray or RGB.

    A file that is canonical already is returned byte for byte. Its structure is checked, and the
    scans of a JPEG; the pixels of a PNG are left to `image_check`. Any other file is re-encoded as
    RGB PNG in a child process: rotated as EXIF or XMP says, transparency blended over white, the
    high 8 of 16 bits, the first of several frames, and reduced to `limits.keep_pixels` at the same
    aspect ratio.

    Args:
        content: JPEG, PNG, WebP, GIF, BMP, TIFF, PPM or AVIF; the content decides the format.
        limits: `media_bytes`, `image_pixels` and also `MAX_SIDE` are checked before decoding;
            `decode_seconds` limits the child process.

    Raises:
        MediumError: EMPTY, TOO_LARGE, UNSUPPORTED, TRUNCATED, CORRUPT or TIMEOUT.
    """
    if not content:
        raise MediumError(Flaw.EMPTY, "no bytes")
    _check_length(content, limits)
    kind = next((kind for kind, magic in _MAGIC if magic.match(content)), None)
    if kind is None:
        raise MediumError(Flaw.UNSUPPORTED, "not one of the supported image formats")
    header = sizes.READERS[kind](content)
    _check_size(header.width, header.height, limits)
    pixels = header.width * header.height
    if header.plain and pixels <= limits.keep_pixels:
        if kind == "JPEG":
            jpeg_scans.check(content)
        return content
    if kind in bare.MAKERS:
        content = bare.MAKERS[kind](content, header)
    with _room(pixels // _scale(kind, pixels, limits) ** 2):
        encoded = process.decode_picture(
            content, kind, pixels, limits.keep_pixels, limits.decode_seconds
        )
    _check_length(encoded, limits)
    return encoded


def _room(pixels: int) -> contextlib.AbstractContextManager[object]:
    return _large if pixels > _ROOM_PIXELS else contextlib.nullcontext()


def _scale(kind: str, pixels: int, limits: Limits) -> int:
    """Returns the factor by which decoding shrinks the sides of an image; only JPEG can do that."""
    scales = _JPEG_SCALES if kind == "JPEG" else ()
    return next((scale for scale in scales if pixels >= scale**2 * limits.keep_pixels), 1)


def begins_as_picture(content: bytes) -> bool:
    """Returns True if the first bytes of a file are those of an allowed format."""
    return any(magic.match(content) for _, magic in _MAGIC)


def _check_length(content: bytes, limits: Limits) -> None:
    if len(content) > limits.media_bytes:
        raise MediumError(
            Flaw.TOO_LARGE, f"{len(content)} bytes, limits.media_bytes is {limits.media_bytes}"
        )


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width < 1 or height < 1:
        raise MediumError(Flaw.EMPTY, f"{width} x {height} pixels")
    if max(width, height) > MAX_SIDE:
        raise MediumError(Flaw.TOO_LARGE, f"{width} x {height} pixels, a side has up to {MAX_SIDE}")
    if width * height > limits.image_pixels:
        raise MediumError(
            Flaw.TOO_LARGE,
            f"{width} x {height} pixels, limits.image_pixels is {limits.image_pixels}",
        )
