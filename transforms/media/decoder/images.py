"""Decoding of images with Pillow, in the child process that `program` runs."""

import io
import math
import re
import struct
import zlib

import numpy as np
from PIL import AvifImagePlugin, Image, ImageFile, TiffImagePlugin

from triad_ml.transforms.media.decoder import protocol as protocol
from triad_ml.transforms.media.image_files import exif, headers, jpeg_scans
from triad_ml.transforms.records.values import Flaw, MediumError

AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # each thread takes address space, which is limited
Image.init()  # loads all plugins before the limits are set

_MODES = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK"})
_MODES_16 = frozenset({"I;16", "I;16B", "I;16L"})

_PILLOW_ERRORS = (
    OSError,  # truncated or unidentified; the bytes are in memory, so no disk can be at fault
    SyntaxError,  # Pillow's own for a broken header
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,  # from plugins that continue after a missing chunk
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
"""Compressions, by Pillow's names, that libtiff decodes to the same pixels each time or refuses."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # per pixel, by colour type
_PNG_PASSES = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
"""Passes of an interlaced PNG: first column, first row, and the steps between columns and rows."""
_INFLATED_BYTES = 2**20


def decode(content: bytes, kind: str, channel: protocol.Channel) -> None:
    """Reads how large an image may be, decodes it, and sends it as a canonical PNG.

    Raises:
        MediumError: TOO_LARGE, UNSUPPORTED, TRUNCATED, CORRUPT or EMPTY.
    """
    pixels, keep_pixels = protocol.PICTURE.unpack(channel.read(protocol.PICTURE.size))
    channel.reply(protocol.PIXELS, _encoded(_decoded(content, kind, pixels, keep_pixels)))


def _decoded(content: bytes, kind: str, pixels: int, keep_pixels: int) -> Image.Image:
    """Returns the first frame, upright and reduced, as RGB."""
    try:
        if kind in _CHECKS:
            _CHECKS[kind](content)
        with Image.open(io.BytesIO(content), formats=[kind]) as image:
            _check_size(image, kind, pixels)
            _check_codec(image, kind)
            target = _reduced_size(image.width, image.height, keep_pixels)
            image.draft(None, target)  # for JPEG: decodes at a half, a quarter or an eighth
            image.load()
            picture = _opaque(_eight_bit(image, kind), target)
            # A PNG may have its orientation after the pixels. Pillow has rotated a TIFF already.
            block, packet = (image.info.get(name) or b"" for name in ("exif", "xmp"))
            turn = _TURNS.get(exif.orientation(block, packet if kind != "TIFF" else b""))
            return picture.transpose(turn) if turn is not None else picture
    except MediumError:
        raise
    except _PILLOW_ERRORS as error:
        raise MediumError(_flaw(error), f"{kind}: cannot be decoded") from error


def _check_size(image: ImageFile.ImageFile, kind: str, pixels: int) -> None:
    if image.width < 1 or image.height < 1:
        raise MediumError(Flaw.EMPTY, f"{image.width} x {image.height} pixels")
    if image.width * image.height > pixels:
        raise MediumError(Flaw.CORRUPT, f"{kind}: larger than its header says")


def _check_png(content: bytes) -> None:
    """Inflates the pixels, because Pillow leaves missing rows black.

    Raises:
        MediumError: TRUNCATED.
    """
    width, height, depth, colour, *_, interlaced = struct.unpack_from(">IIBBBBB", content, 16)
    passes = _PNG_PASSES if interlaced else ((0, 0, 1, 1),)
    missing = 0
    for left, top, across, down in passes:
        columns, rows = -((left - width) // across), -((top - height) // down)
        if columns > 0 and rows > 0:
            missing += rows * (1 + (columns * depth * _PNG_SAMPLES[colour] + 7) // 8)
    inflater = zlib.decompressobj()
    for kind, start, end in headers.png_chunks(content):
        stored = content[start:end] if kind == b"IDAT" else b""
        while stored and missing > 0 and not inflater.eof:
            missing -= len(inflater.decompress(stored, _INFLATED_BYTES))
            stored = inflater.unconsumed_tail
    if missing > 0:
        raise MediumError(Flaw.TRUNCATED, "PNG: fewer pixels than declared")


_CHECKS = {"JPEG": jpeg_scans.check, "PNG": _check_png}
"""Checks, by format, for missing pixels that Pillow accepts."""


def _check_codec(image: ImageFile.ImageFile, kind: str) -> None:
    """Refuses formats that Pillow decodes in Python, and compressions of TIFF that are not allowed.

    Run-length encoded BMP, and PPM as text or of unusual depths, take microseconds per pixel, and
    so minutes for 40 million pixels; and 60 bytes of such a BMP can claim gigabytes. For damaged
    fax and JPEG data, libtiff returns uninitialized memory as pixels, different ones each time.

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
        # The high byte, as in Pillow's conversion of 16-bit RGB; that of 16-bit gray clips.
        values = np.asarray(image)
        high = (values >> (_depth(image) - 8)).astype(np.uint8)
        gray = Image.fromarray(~high if _is_white_zero(image) else high)
        if (clear := image.info.get("transparency")) is not None:
            gray.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
        return gray
    if image.mode not in _MODES:
        raise MediumError(Flaw.UNSUPPORTED, f"{kind}: pixels of kind {image.mode}")
    return image


def _depth(image: Image.Image) -> int:
    """Returns the stored bits of a sample that Pillow returns as 16; a TIFF may have fewer."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(image.tag_v2[TiffImagePlugin.BITSPERSAMPLE][0])
    return 16


def _is_white_zero(image: Image.Image) -> bool:
    """Returns True if 0 is white in a 16-bit TIFF; Pillow inverts such samples up to 8 bits."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    return bool(image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0)


def _opaque(image: Image.Image, target: tuple[int, int]) -> Image.Image:
    """Returns an RGB image of size `target`, with transparency blended over white."""
    transparent = image.has_transparency_data
    mode = "RGBA" if transparent else "RGB"
    if image.mode != mode or image.size == target:  # else it would only copy a large image
        image = image.convert(mode)
    if image.size != target:
        image = image.resize(target, Image.Resampling.LANCZOS, reducing_gap=2.0)
    if not transparent:
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _encoded(picture: Image.Image) -> bytes:
    picture.info = {}  # without it, Pillow would write colour profile and resolution
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=2)
    return stream.getvalue()
