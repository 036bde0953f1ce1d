"""Canonical pictures: JPEG or PNG files that TensorFlow's own ops read exactly."""

import contextlib
import io
import math
import re
import struct
import threading
import zlib

import numpy as np
from PIL import Image, ImageFile

from transforms import image_headers
from transforms.records import Flaw, MediumError
from transforms.spec import Limits

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
"""Formats by Pillow's names. Everything that is not here is never opened."""

_MODES = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK"})
_MODES_16 = frozenset({"I;16", "I;16B", "I;16L"})

_PILLOW_ERRORS = (
    OSError,  # truncated or unidentified; the bytes are in memory, so no disk can be at fault
    SyntaxError,  # Pillow's own for a broken header
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,  # a plugin that goes on after a missing chunk
    RuntimeError,  # NotImplementedError for rare sub-formats
    AssertionError,
    EOFError,
    struct.error,
    zlib.error,
    MemoryError,  # codecs raise it for absurd sizes in tiles and strips
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
_TRUNCATED_WORDS = re.compile("truncated|not enough|end of file|EOF", re.IGNORECASE)
_TOO_LARGE_WORDS = re.compile("too large|too much|exceeds", re.IGNORECASE)

_TIFF_COMPRESSIONS = frozenset(
    ("raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "lzma", "zstd")
)
"""By Pillow's names: those of which libtiff gives the same pixels each time, or none."""

_ROOM_PIXELS = 10_000_000
_large = threading.RLock()
"""Held by the one thread that decodes a picture of over `_ROOM_PIXELS`: such a one takes up to 22
bytes a pixel, and memory must not grow with the number of threads."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def canonical(content: bytes, limits: Limits) -> bytes:
    """Makes a picture canonical: a JPEG or PNG file, 8-bit, upright, opaque, gray or RGB.

    A file that is one comes back byte for byte, after a look at its structure alone: whether its
    pixels can be decoded is for the op that decodes them to say. All else is re-encoded as RGB
    PNG: turned as EXIF says, transparency over white, the high 8 of 16 bits, the first of several
    frames, reduced to `limits.keep_pixels` with its aspect ratio kept.

    Args:
        content: JPEG, PNG, WebP, GIF, BMP, TIFF, PPM or AVIF, told by content.
        limits: `media_bytes` and `image_pixels` are checked before anything is decoded.

    Raises:
        MediumError: EMPTY, TOO_LARGE, UNSUPPORTED, TRUNCATED or CORRUPT.
    """
    if not content:
        raise MediumError(Flaw.EMPTY, "no bytes")
    _check_length(content, limits)
    kind = next((kind for kind, magic in _MAGIC if magic.match(content)), None)
    if kind is None:
        raise MediumError(Flaw.UNSUPPORTED, "no picture format on the list")
    pixels = 0  # that opening it takes memory for
    if kind in image_headers.READERS:
        header = image_headers.READERS[kind](content)
        _check_size(header.width, header.height, limits)
        pixels = header.width * header.height
        if header.plain and pixels <= limits.keep_pixels:
            return content
    with _room(0 if kind == "JPEG" else pixels):
        encoded = _encoded(_decoded(content, kind, limits))
    _check_length(encoded, limits)
    return encoded


def begins_as_picture(content: bytes) -> bool:
    """Whether the first bytes of a file are those of a format on the list."""
    return any(magic.match(content) for _, magic in _MAGIC)


def _check_length(content: bytes, limits: Limits) -> None:
    if len(content) > limits.media_bytes:
        raise MediumError(
            Flaw.TOO_LARGE, f"{len(content)} bytes, limits.media_bytes is {limits.media_bytes}"
        )


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width < 1 or height < 1:
        raise MediumError(Flaw.EMPTY, f"{width} x {height} pixels")
    if width * height > limits.image_pixels:
        raise MediumError(
            Flaw.TOO_LARGE,
            f"{width} x {height} pixels, limits.image_pixels is {limits.image_pixels}",
        )


def _decoded(content: bytes, kind: str, limits: Limits) -> Image.Image:
    """The first frame, upright and reduced, as RGB."""
    try:
        with Image.open(io.BytesIO(content), formats=[kind]) as image:
            _check_size(image.width, image.height, limits)
            _check_codec(image, kind)
            target = _reduced_size(image.width, image.height, limits.keep_pixels)
            image.draft(None, target)  # JPEG alone: decodes at a half, a quarter or an eighth
            with _room(image.width * image.height):
                image.load()
                picture = _opaque(_eight_bit(image, kind), target)
            # Only now, since a PNG may have it behind the pixels. TIFF has been turned by Pillow.
            turn = _TURNS.get(image_headers.orientation(image.info.get("exif") or b""))
            return picture.transpose(turn) if turn is not None else picture
    except MediumError:
        raise
    except _PILLOW_ERRORS as error:
        raise MediumError(_flaw(error), f"{kind}: cannot be decoded") from error


def _room(pixels: int) -> contextlib.AbstractContextManager[object]:
    return _large if pixels > _ROOM_PIXELS else contextlib.nullcontext()


def _check_codec(image: ImageFile.ImageFile, kind: str) -> None:
    """Refuses what Pillow decodes in Python, and TIFF of compressions that are on no list.

    BMP in runs, and PPM as text or of unusual depths, take microseconds a pixel, 40 million of them
    minutes; and 60 bytes of a BMP in runs can ask for gigabytes. Of damaged fax and JPEG, libtiff
    leaves what was in memory before as pixels, which are others each time.

    Raises:
        MediumError: UNSUPPORTED.
    """
    if any(tile.codec_name in Image.DECODERS for tile in image.tile):
        raise MediumError(Flaw.UNSUPPORTED, f"{kind}: a rare form that takes too long to decode")
    if kind == "TIFF" and image.info.get("compression") not in _TIFF_COMPRESSIONS:
        raise MediumError(Flaw.UNSUPPORTED, "TIFF: of a compression that is on no list")


def _flaw(error: BaseException) -> Flaw:
    bombs = (MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning)
    if isinstance(error, bombs) or _TOO_LARGE_WORDS.search(str(error)):
        return Flaw.TOO_LARGE
    return Flaw.TRUNCATED if _TRUNCATED_WORDS.search(str(error)) else Flaw.CORRUPT


def _reduced_size(width: int, height: int, keep_pixels: int) -> tuple[int, int]:
    scale = math.sqrt(keep_pixels / (width * height))
    if scale >= 1:
        return width, height
    short = max(1, int(min(width, height) * scale))
    long = min(int(max(width, height) * scale), keep_pixels // short)
    return (short, long) if width < height else (long, short)


def _eight_bit(image: Image.Image, kind: str) -> Image.Image:
    if image.mode in _MODES_16 or (image.mode == "I" and kind == "PPM"):
        # The high byte, as Pillow takes it of 16-bit RGB; its own conversion of gray clips.
        values = np.asarray(image)
        gray = Image.fromarray((values >> 8).astype(np.uint8))
        if (clear := image.info.get("transparency")) is not None:
            gray.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
        return gray
    if image.mode not in _MODES:
        raise MediumError(Flaw.UNSUPPORTED, f"{kind}: pixels of kind {image.mode}")
    return image


def _opaque(image: Image.Image, target: tuple[int, int]) -> Image.Image:
    """RGB over white, of size `target`."""
    transparent = image.has_transparency_data
    mode = "RGBA" if transparent else "RGB"
    if image.mode != mode or image.size == target:  # else Pillow would copy a large picture
        image = image.convert(mode)
    if image.size != target:
        image = image.resize(target, Image.Resampling.LANCZOS, reducing_gap=2.0)
    if not transparent:
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _encoded(picture: Image.Image) -> bytes:
    picture.info = {}  # Pillow would write colour profile and resolution
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=2)
    return stream.getvalue()
