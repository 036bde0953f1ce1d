"""The sizes that pictures other than JPEG and PNG declare, read before anything is opened."""

import re
import struct
from collections.abc import Callable, Iterator

from triad_ml.transforms.media.image_files import headers
from triad_ml.transforms.media.image_files.headers import Header
from triad_ml.transforms.records.values import Flaw, MediumError

_MAX_BLOCKS = 65_536  # of a GIF's extensions, and these; real files have a few hundred
_MAX_TAGS = 4096  # of a TIFF; real files have about twenty
_MAX_TILES = 65_536  # or strips, of a TIFF, which Pillow makes lists of
_MAX_ITEMS = 65_536  # of an AVIF that declare a size; real files have a handful
_PPM_HEADER_BYTES = 65_536  # with its comments; real files have a line or two

_TIFF_KINDS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TIFF_KINDS |= {16: 8, 17: 8, 18: 8}  # of BigTIFF
_TIFF_WIDTH, _TIFF_HEIGHT = 0x0100, 0x0101
_TIFF_STRIPS, _TIFF_TILES = 0x0111, 0x0144

_BETWEEN = rb"(?>(?:\s|#[^\n\r]*[\n\r])+)"
_PPM = re.compile(rb"P[1-6]" + _BETWEEN + rb"(\d{1,9})" + _BETWEEN + rb"(\d{1,9})\s")
_AVIF_EXTENT = re.compile(rb"ispe\0\0\0\0(.{4})(.{4})", re.DOTALL)
_AVIF_TRACK = re.compile(rb"av01\0{6}.{18}(.{2})(.{2})", re.DOTALL)


def gif_extensions(content: bytes) -> Iterator[tuple[int, int]]:
    """Where the extensions in front of the first frame begin and end.

    Raises:
        IndexError: The file stops among them.
        MediumError: TOO_LARGE for too many extensions and blocks, each a step of decoders.
    """
    flags, blocks = content[10], 0
    position = 13 + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)
    while content[position] == 0x21:  # then a label, then blocks up to an empty one
        start, position, blocks = position, position + 2, blocks + 1
        while (size := content[position]) and blocks <= _MAX_BLOCKS:
            position, blocks = position + 1 + size, blocks + 1
        if blocks > _MAX_BLOCKS:
            raise MediumError(Flaw.TOO_LARGE, f"GIF: over {_MAX_BLOCKS} extensions and blocks")
        position += 1
        yield start, position
    yield position, position  # of the frame


def gif(content: bytes) -> Header:
    """Canvas and first frame together: Pillow enlarges the canvas, and fills it on opening."""
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
    """The canvas, of which libwebp makes a copy on opening."""
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
    """The first directory's size. Its tags may claim as many bytes as the file has, and no more.

    Readers copy what each tag points at, and several may point at the same bytes.

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
    for tag, kind, length, place in form.iter_unpack(entries):
        size = _TIFF_KINDS.get(kind, 0)
        claimed += size * length
        if tag in (_TIFF_STRIPS, _TIFF_TILES) and length > _MAX_TILES:
            raise MediumError(Flaw.TOO_LARGE, f"TIFF: over {_MAX_TILES} strips or tiles")
        if tag in (_TIFF_WIDTH, _TIFF_HEIGHT) and 0 < size <= len(place):
            sides[tag] = int.from_bytes(place[:size], "little" if order == "<" else "big")
    if claimed > len(content):
        raise MediumError(Flaw.TOO_LARGE, f"TIFF: its tags claim {claimed} of {len(content)} bytes")
    if len(sides) < 2:
        raise MediumError(Flaw.CORRUPT, "TIFF: no size")
    return Header(sides[_TIFF_WIDTH], sides[_TIFF_HEIGHT])


def bmp(content: bytes) -> Header:
    """Rows from top to bottom have a negative height."""
    short = content[14:18] == b"\x0c\0\0\0"
    try:
        width, height = struct.unpack_from("<HH" if short else "<ii", content, 18)
    except struct.error as error:
        raise MediumError(Flaw.TRUNCATED, "BMP: no header") from error
    return Header(width, abs(height))


def ppm(content: bytes) -> Header:
    """Two numbers in decimal, between blanks and comments.

    For each blank and comment the pattern keeps hundreds of bytes while it matches.
    """
    match = _PPM.match(content[:_PPM_HEADER_BYTES])
    if match is None:
        raise MediumError(Flaw.CORRUPT, "PPM: no size")
    return Header(int(match[1]), int(match[2]))


def avif(content: bytes) -> Header:
    """The largest of the items, or of a sequence without items its track.

    Raises:
        MediumError: TOO_LARGE for too many of them, or CORRUPT.
    """
    found = _largest(_AVIF_EXTENT, content) or _largest(_AVIF_TRACK, content)
    if found is None:
        raise MediumError(Flaw.CORRUPT, "AVIF: no size")
    return found


def _largest(pattern: re.Pattern[bytes], content: bytes) -> Header | None:
    """Of the sizes that it finds that of the most pixels; None where it finds none."""
    largest: Header | None = None
    for index, found in enumerate(pattern.finditer(content)):
        if index >= _MAX_ITEMS:
            raise MediumError(Flaw.TOO_LARGE, f"AVIF: over {_MAX_ITEMS} items")
        one = Header(int.from_bytes(found[1]), int.from_bytes(found[2]))
        if largest is None or one.width * one.height > largest.width * largest.height:
            largest = one
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
"""By Pillow's names of the formats, each of which has one."""
