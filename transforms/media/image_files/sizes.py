"""Readers of the sizes that image files declare, used before any decoder opens them."""

import re
import struct
from collections.abc import Callable, Iterator

from triad_ml.transforms.media.image_files import headers
from triad_ml.transforms.media.image_files.headers import Header
from triad_ml.transforms.records.values import Flaw, MediumError

_MAX_BLOCKS = 65_536  # extensions of a GIF and their blocks; real files have a few hundred
_MAX_TAGS = 4096  # of a TIFF; real files have about twenty
_MAX_TILES = 65_536  # or strips of a TIFF, of which Pillow makes lists
_MAX_ITEMS = 65_536  # of an AVIF with a size; real files have a handful
_PPM_HEADER_BYTES = 65_536  # including comments; real files have a line or two

_TIFF_KINDS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TIFF_KINDS |= {16: 8, 17: 8, 18: 8}  # of BigTIFF
_TIFF_WIDTH, _TIFF_HEIGHT = 0x0100, 0x0101
_TIFF_STRIPS, _TIFF_TILES = 0x0111, 0x0144

_BETWEEN = rb"(?>(?:\s|#[^\n\r]*[\n\r])+)"
_PPM = re.compile(rb"P[1-6]" + _BETWEEN + rb"(\d{1,9})" + _BETWEEN + rb"(\d{1,9})\s")
_AVIF_EXTENT = re.compile(rb"ispe\0\0\0\0(.{4})(.{4})", re.DOTALL)
_AVIF_TRACK = re.compile(rb"av01\0{6}.{18}(.{2})(.{2})", re.DOTALL)


def gif_extensions(content: bytes) -> Iterator[tuple[int, int]]:
    """Yields start and end of each extension before the first frame, then the frame's start twice.

    Raises:
        IndexError: If the file ends within them.
        MediumError: TOO_LARGE, if there are too many extensions and blocks; decoders take a step
            for each.
    """
    flags, blocks = content[10], 0
    position = 13 + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)
    while content[position] == 0x21:  # a label follows, then blocks up to an empty one
        start, position, blocks = position, position + 2, blocks + 1
        while (size := content[position]) and blocks <= _MAX_BLOCKS:
            position, blocks = position + 1 + size, blocks + 1
        if blocks > _MAX_BLOCKS:
            raise MediumError(Flaw.TOO_LARGE, f"GIF: over {_MAX_BLOCKS} extensions and blocks")
        position += 1
        yield start, position
    yield position, position


def gif(content: bytes) -> Header:
    """Returns the size of canvas and first frame together.

    Pillow enlarges the canvas to the frame, and fills it when it opens the file.
    """
    try:
        width, height = struct.unpack_from("<HH", content, 6)
        *_, (position, _) = gif_extensions(content)
        if content[position] != 0x2C:
            raise MediumError(Flaw.CORRUPT, "GIF: no frame")
        left, top, frame_width, frame_height = struct.unpack_from("<HHHH", content, position + 1)
    except (IndexError, struct.error) as error:
        raise MediumError(Flaw.TRUNCATED, "GIF: no frame") from error
    if not (width and height):
        return Header(width, height)
    return Header(max(width, left + frame_width), max(height, top + frame_height))


def webp(content: bytes) -> Header:
    """Returns the size of the canvas, which libwebp allocates when it opens the file."""
    kind, size = content[12:16], content[20:30]
    if len(size) < 10:
        raise MediumError(Flaw.TRUNCATED, "WEBP: no header")
    if kind == b"VP8X":
        return Header(
            1 + int.from_bytes(size[4:7], "little"), 1 + int.from_bytes(size[7:10], "little")
        )
    if kind == b"VP8L" and size[0] == 0x2F:
        sides = int.from_bytes(size[1:5], "little")
        return Header(1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF))
    if kind == b"VP8 " and size[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", size, 6)
        return Header(width & 0x3FFF, height & 0x3FFF)
    raise MediumError(Flaw.CORRUPT, "WEBP: no picture")


def tiff(content: bytes) -> Header:
    """Returns the size in the first directory, whose tags may not claim more bytes than the file.

    Readers copy the data of each tag, and several tags may point at the same bytes.

    Raises:
        MediumError: TOO_LARGE, TRUNCATED or CORRUPT.
    """
    order = "<" if content.startswith(b"II") else ">"
    big = content[2:4] in (b"+\0", b"\0+")
    form = struct.Struct(f"{order}HHQ8s" if big else f"{order}HHI4s")
    try:
        (start,) = struct.unpack_from(f"{order}Q" if big else f"{order}I", content, 8 if big else 4)
        (count,) = struct.unpack_from(f"{order}Q" if big else f"{order}H", content, start)
    except struct.error as error:
        raise MediumError(Flaw.TRUNCATED, "TIFF: no directory") from error
    if count > _MAX_TAGS:
        raise MediumError(Flaw.TOO_LARGE, f"TIFF: over {_MAX_TAGS} tags")
    start += 8 if big else 2
    entries = content[start : start + count * form.size]
    if len(entries) < count * form.size:
        raise MediumError(Flaw.TRUNCATED, "TIFF: inside its directory")
    claimed, sides = 0, {}
    for tag, kind, length, value in form.iter_unpack(entries):
        size = _TIFF_KINDS.get(kind, 0)
        claimed += size * length
        if tag in (_TIFF_STRIPS, _TIFF_TILES) and length > _MAX_TILES:
            raise MediumError(Flaw.TOO_LARGE, f"TIFF: over {_MAX_TILES} strips or tiles")
        if tag in (_TIFF_WIDTH, _TIFF_HEIGHT) and 0 < size <= len(value):
            sides[tag] = int.from_bytes(value[:size], "little" if order == "<" else "big")
    if claimed > len(content):
        raise MediumError(Flaw.TOO_LARGE, f"TIFF: its tags claim {claimed} of {len(content)} bytes")
    if len(sides) < 2:
        raise MediumError(Flaw.CORRUPT, "TIFF: no size")
    return Header(sides[_TIFF_WIDTH], sides[_TIFF_HEIGHT])


def bmp(content: bytes) -> Header:
    """Returns the size; a negative height means that the rows are stored from top to bottom."""
    short = content[14:18] == b"\x0c\0\0\0"
    try:
        width, height = struct.unpack_from("<HH" if short else "<ii", content, 18)
    except struct.error as error:
        raise MediumError(Flaw.TRUNCATED, "BMP: no header") from error
    return Header(width, abs(height))


def ppm(content: bytes) -> Header:
    """Returns the size, two decimal numbers between blanks and comments.

    Only the first `_PPM_HEADER_BYTES` are matched, because the pattern takes hundreds of bytes of
    memory for each blank and comment.
    """
    match = _PPM.match(content[:_PPM_HEADER_BYTES])
    if match is None:
        raise MediumError(Flaw.CORRUPT, "PPM: no size")
    return Header(int(match[1]), int(match[2]))


def avif(content: bytes) -> Header:
    """Returns the size of the largest item; without items, that of the largest track.

    Raises:
        MediumError: TOO_LARGE if there are too many of them, CORRUPT if there are none.
    """
    largest = _largest(_AVIF_EXTENT, content) or _largest(_AVIF_TRACK, content)
    if largest is None:
        raise MediumError(Flaw.CORRUPT, "AVIF: no size")
    return largest


def _largest(pattern: re.Pattern[bytes], content: bytes) -> Header | None:
    """Returns the size with the most pixels that the pattern matches; None without a match."""
    largest: Header | None = None
    for index, match in enumerate(pattern.finditer(content)):
        if index >= _MAX_ITEMS:
            raise MediumError(Flaw.TOO_LARGE, f"AVIF: over {_MAX_ITEMS} items")
        header = Header(int.from_bytes(match[1]), int.from_bytes(match[2]))
        if largest is None or header.width * header.height > largest.width * largest.height:
            largest = header
    return largest


READERS: dict[str, Callable[[bytes], Header]] = {
    "JPEG": headers.jpeg,
    "PNG": headers.png,
    "WEBP": webp,
    "GIF": gif,
    "BMP": bmp,
    "TIFF": tiff,
    "PPM": ppm,
    "AVIF": avif,
}
"""Readers of the size, by Pillow's names of the formats; each allowed format has one."""
