"""Headers of JPEG and PNG files, and checks that the files are complete."""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from triad_ml.transforms.media.image_files import exif
from triad_ml.transforms.records.values import Flaw, MediumError

MAX_SIDE = 65_535
"""Largest number of pixels of a side, as in JPEG: many short rows take memory, too."""

WHOLE_BLOCK = b"\0\x3f\0"
"""Parameters of a scan in a sequential JPEG; decoders warn about others, and continue."""

_MAX_SEGMENTS = 65_536  # of a JPEG, or chunks of a PNG: more take seconds to walk
_MAX_SCANS = 100  # of a JPEG: each takes a pass over all coefficients; real files have about ten
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PNG_OPAQUE = (0, 2, 3)  # gray, RGB and palette: TensorFlow's op expands the three exactly
_PNG_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_PNG_TEXT_BYTES = 2**18  # of the text chunk with the orientation, as stored and as inflated


class Header(NamedTuple):
    """Properties that an image file declares.

    Attributes:
        width: Width in pixels, before any rotation.
        height: Height in pixels, before any rotation.
        plain: True if TensorFlow's op decodes the file exactly: 8-bit, upright, opaque, gray or
            RGB, one frame.
        orientation: Orientation of EXIF, 1 to 8; read from JPEG and PNG only.
    """

    width: int
    height: int
    plain: bool = False
    orientation: int = exif.UPRIGHT


def jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields the segments up to the first scan: marker, and start and end of the body.

    Stray bytes between segments are skipped.

    Raises:
        MediumError: TRUNCATED or CORRUPT, if there is no scan.
    """
    position = 2
    for _ in range(_MAX_SEGMENTS):
        start = position + 4  # of the segment's body
        if start > len(content):
            raise MediumError(Flaw.TRUNCATED, "JPEG: no scan")
        marker = content[position + 1]
        if content[position] != 0xFF or marker == 0xFF or marker in _STANDALONE:
            position += 2 if content[position] == 0xFF and marker != 0xFF else 1
            continue
        position += 2 + int.from_bytes(content[start - 2 : start])
        if position < start or marker in (0x00, 0xD9):
            raise MediumError(Flaw.CORRUPT, "JPEG: no scan")
        if position > len(content):
            raise MediumError(Flaw.TRUNCATED, "JPEG: inside a segment")
        yield marker, start, position
        if marker == 0xDA:
            return
    raise MediumError(Flaw.CORRUPT, "JPEG: too many segments")


def jpeg(content: bytes) -> Header:
    """Reads the segments up to the first scan, and searches the end marker after it.

    Raises:
        MediumError: TRUNCATED, CORRUPT or TOO_LARGE.
    """
    width = height = components = 0
    plain, progressive, position, block, packet = True, False, 2, b"", b""
    for marker, start, end in jpeg_segments(content):
        # Decoders skip stray bytes with a warning; `bare.jpeg` drops them. Fill bytes are allowed.
        plain &= not content[position : start - 4].strip(b"\xff")
        position = end
        if marker in _START_OF_FRAME:
            if end < start + 6:
                raise MediumError(Flaw.CORRUPT, "JPEG: short frame header")
            depth, height, width, components = struct.unpack_from(">BHHB", content, start)
            progressive = marker == 0xC2
            plain &= marker in (0xC0, 0xC1, 0xC2) and depth == 8 and components in (1, 3)
        elif marker == 0xE0 and content.startswith(b"JFIF\0", start):
            plain &= content[start + 5 : start + 6] == b"\1"  # decoders warn about other versions
        elif marker == 0xE1 and content.startswith(exif.MARK, start) and not block:
            block = content[start:end]
        elif marker == 0xE1 and content.startswith(_XMP, start):
            packet = content[start:end]
        elif marker == 0xE2 and content.startswith(b"MPF\0", start):
            plain = False  # several images
        elif marker == 0xEE and content.startswith(b"Adobe", start):
            plain &= content[start + 11 : start + 12] in (b"\0", b"\1")
    if not components:
        raise MediumError(Flaw.CORRUPT, "JPEG: no frame header")
    if not content.endswith(b"\xff\xd9") and content.rfind(b"\xff\xd9", position) < 0:
        raise MediumError(Flaw.TRUNCATED, "JPEG: no end")
    several_scans = progressive or (position > start and content[start] < components)
    if several_scans and content.count(b"\xff\xda", position) >= _MAX_SCANS:
        raise MediumError(Flaw.TOO_LARGE, f"JPEG: over {_MAX_SCANS} scans")
    plain &= progressive or content[position - 3 : position] == WHOLE_BLOCK
    turn = exif.orientation(block, packet)
    return Header(width, height, plain and turn == exif.UPRIGHT, turn)


def png_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields the chunks up to the end: kind, and start and end of the body.

    Raises:
        MediumError: TRUNCATED, CORRUPT or TOO_LARGE.
    """
    position = 8
    for _ in range(_MAX_SEGMENTS):
        start = position + 8  # of the chunk's body
        if start + 4 > len(content):
            raise MediumError(Flaw.TRUNCATED, "PNG: no end")
        length, kind = struct.unpack_from(">I4s", content, position)
        position = start + length + 4
        if not kind.isalpha():
            raise MediumError(Flaw.CORRUPT, "PNG: not a chunk")
        if position > len(content):
            raise MediumError(Flaw.TRUNCATED, "PNG: inside a chunk")
        yield kind, start, start + length
        if kind == b"IEND":
            return
    raise MediumError(Flaw.CORRUPT, "PNG: too many chunks")


def png(content: bytes) -> Header:
    """Reads the chunks up to the end.

    Raises:
        MediumError: TRUNCATED, CORRUPT or TOO_LARGE.
    """
    if len(content) < 33:
        raise MediumError(Flaw.TRUNCATED, "PNG: no header")
    length, kind, width, height, depth, colour, *methods = struct.unpack_from(
        ">I4sIIBBBBB", content, 8
    )
    known = depth in _PNG_DEPTHS.get(colour, ()) and methods in ([0, 0, 0], [0, 0, 1])
    if length != 13 or kind != b"IHDR" or not known:
        raise MediumError(Flaw.CORRUPT, "PNG: impossible header")
    plain = depth <= 8 and colour in _PNG_OPAQUE
    seen, block, packet, profile = set(), b"", b"", b""
    for kind, start, end in png_chunks(content):
        seen.add(kind)
        if kind == b"eXIf":
            block = content[start:end]
        elif kind in (b"tEXt", b"zTXt") and content.startswith(b"Raw profile type exif\0", start):
            profile = profile or content[start : min(end, start + _PNG_TEXT_BYTES)]
        elif kind == b"iTXt":
            if content.startswith(b"XML:com.adobe.xmp\0", start):
                packet = content[start:end]
            flag = content.find(b"\0", start, end) + 1
            plain &= flag > 0 and content[flag] == 0
    if b"IDAT" not in seen or (colour == 3 and b"PLTE" not in seen):
        raise MediumError(Flaw.CORRUPT, "PNG: no pixels or no palette")
    # Transparency, animation, and compressed text, which decoders inflate unasked.
    plain &= seen.isdisjoint({b"tRNS", b"acTL", b"zTXt"})
    plain &= all(kind in _PNG_CRITICAL or kind[:1].islower() for kind in seen)
    turn = exif.orientation(block or _raw_profile(profile), packet)
    return Header(width, height, plain and turn == exif.UPRIGHT, turn)


def _raw_profile(chunk: bytes) -> bytes:
    """Decodes EXIF as ImageMagick wrote it into PNG: hexadecimal text after three lines."""
    body = chunk.partition(b"\0")[2]
    try:
        if body.startswith(b"\0"):  # the compression method of a zTXt chunk
            body = zlib.decompressobj().decompress(body[1:], _PNG_TEXT_BYTES)
        digits = b"".join(body.split(b"\n", 3)[3:]).replace(b"\n", b"")
        return bytes.fromhex(digits.decode("ascii", "replace"))
    except (zlib.error, ValueError):
        return b""
