"""Headers of picture files: what they declare, and whether the file is all there."""

import struct
from collections.abc import Callable
from typing import NamedTuple

from transforms.records import Flaw, MediumError

_MAX_SEGMENTS = 65_536  # of a JPEG, or chunks of a PNG: more take seconds to walk
_MAX_SCANS = 100  # of a JPEG: each costs a pass over all coefficients; real files have about ten
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PNG_OPAQUE = (0, 2, 3)  # gray, RGB and palette: TensorFlow's op expands the three exactly
_PNG_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})

UPRIGHT = 1
"""EXIF's orientation of a picture that is stored as it is to be seen."""


class Header(NamedTuple):
    """What a picture file declares.

    Attributes:
        width: In pixels, before any rotation.
        height: In pixels, before any rotation.
        plain: True where TensorFlow's op reads the file exactly as it is meant: 8-bit, upright,
            opaque, gray or RGB, one frame.
    """

    width: int
    height: int
    plain: bool = False


def jpeg(content: bytes) -> Header:
    """Walks the segments up to the first scan, and looks for the end behind it."""
    width = height = components = 0
    plain, progressive, position = True, False, 2
    for _ in range(_MAX_SEGMENTS):
        start = position + 4  # of the segment's body
        if start > len(content):
            raise MediumError(Flaw.TRUNCATED, "JPEG: no scan")
        if content[position] != 0xFF:  # decoders skip stray bytes; leave that to Pillow
            position, plain = position + 1, False
            continue
        marker = content[position + 1]
        if marker == 0xFF or marker in _STANDALONE:
            position += 1 if marker == 0xFF else 2
            continue
        position += 2 + int.from_bytes(content[start - 2 : start])
        if position < start or marker in (0x00, 0xD9):
            raise MediumError(Flaw.CORRUPT, "JPEG: no scan")
        if position > len(content):
            raise MediumError(Flaw.TRUNCATED, "JPEG: inside a segment")
        if marker in _START_OF_FRAME:
            if position < start + 6:
                raise MediumError(Flaw.CORRUPT, "JPEG: short frame header")
            depth, height, width, components = struct.unpack_from(">BHHB", content, start)
            progressive = marker == 0xC2
            plain &= marker in (0xC0, 0xC1, 0xC2) and depth == 8 and components in (1, 3)
        elif marker == 0xE1 and content.startswith(b"Exif\0\0", start):
            plain &= orientation(content[start:position]) == UPRIGHT
        elif marker == 0xE2 and content.startswith(b"MPF\0", start):
            plain = False  # several pictures
        elif marker == 0xDA:
            break
    else:
        raise MediumError(Flaw.CORRUPT, "JPEG: too many segments")
    if not components:
        raise MediumError(Flaw.CORRUPT, "JPEG: no frame header")
    if not content.endswith(b"\xff\xd9") and content.rfind(b"\xff\xd9", position) < 0:
        raise MediumError(Flaw.TRUNCATED, "JPEG: no end")
    several_scans = progressive or (position > start and content[start] < components)
    if several_scans and content.count(b"\xff\xda", position) >= _MAX_SCANS:
        raise MediumError(Flaw.TOO_LARGE, f"JPEG: over {_MAX_SCANS} scans")
    return Header(width, height, plain)


def png(content: bytes) -> Header:
    """Walks the chunks up to the end; what lies behind it does not count."""
    if len(content) < 33:
        raise MediumError(Flaw.TRUNCATED, "PNG: no header")
    length, kind, width, height, depth, colour, *methods = struct.unpack_from(
        ">I4sIIBBBBB", content, 8
    )
    known = depth in _PNG_DEPTHS.get(colour, ()) and methods in ([0, 0, 0], [0, 0, 1])
    if length != 13 or kind != b"IHDR" or not known:
        raise MediumError(Flaw.CORRUPT, "PNG: impossible header")
    plain = depth <= 8 and colour in _PNG_OPAQUE
    position, seen = 33, set()
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
        seen.add(kind)
        if kind == b"IEND":
            break
        if kind == b"eXIf":
            plain &= orientation(content[start : start + length]) == UPRIGHT
        elif kind == b"iTXt":
            flag = content.find(b"\0", start, start + length) + 1
            plain &= flag > 0 and content[flag] == 0
    else:
        raise MediumError(Flaw.CORRUPT, "PNG: too many chunks")
    if b"IDAT" not in seen or (colour == 3 and b"PLTE" not in seen):
        raise MediumError(Flaw.CORRUPT, "PNG: no pixels or no palette")
    # Transparency, animation, and compressed text, which readers inflate without being asked.
    plain &= seen.isdisjoint({b"tRNS", b"acTL", b"zTXt"})
    plain &= all(kind in _PNG_CRITICAL or kind[:1].islower() for kind in seen)
    return Header(width, height, plain)


def gif(content: bytes) -> Header:
    """Canvas and first frame together: Pillow enlarges the canvas, and fills it on opening."""
    try:
        width, height, flags = struct.unpack_from("<HHB", content, 6)
        position = 13 + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)
        while content[position] == 0x21:  # extensions: a label, then blocks up to an empty one
            position += 2
            while content[position]:
                position += 1 + content[position]
            position += 1
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


READERS: dict[str, Callable[[bytes], Header]] = {
    "JPEG": jpeg,
    "PNG": png,
    "GIF": gif,
    "WEBP": webp,
}
"""By Pillow's names of the formats."""


def orientation(exif: bytes) -> int:
    """EXIF's orientation, 1 to 8. What is malformed says nothing: the picture is upright."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return UPRIGHT
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if tag == 0x0112:
                return value if kind == 3 and 1 <= value <= 8 else UPRIGHT
    except struct.error:
        pass  # it ends early: see above
    return UPRIGHT
