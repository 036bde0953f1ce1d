"""Image files reduced to the parts that decide pixels, before Pillow reads them.

Pillow reads tags, profiles, comments and further images unasked, and some of them take gigabytes or
minutes.
"""

import struct
import zlib
from collections.abc import Callable

from triad_ml.transforms.media.image_files import exif, headers, sizes
from triad_ml.transforms.media.image_files.headers import Header

_JPEG_APPLICATIONS = range(0xE0, 0xF0)
_JPEG_COMMENT = 0xFE
_JPEG_SEQUENTIAL = (b"\xff\xc0", b"\xff\xc1", b"\xff\xc9")
_JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
_PNG_KEPT = frozenset({b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_GIF_CONTROL = 0xF9


def jpeg(content: bytes, header: Header) -> bytes:
    """Keeps tables, frame and scans, the markers that decide colours, and the orientation.

    Unknown versions and scan parameters, about which decoders only warn, are replaced by the values
    that decoders assume.
    """
    block = exif.MARK + exif.block(header.orientation)
    head = b"\xff\xd8"
    turn = b"\xff\xe1" + struct.pack(">H", 2 + len(block)) + block
    kept, tail = [], b""
    for marker, start, end in headers.jpeg_segments(content):
        body = content[start:end]
        if marker == 0xE0 and body.startswith(b"JFIF\0"):
            head = b"\xff\xd8" + _JFIF
        elif marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
            known = body[11:12] if body[11] in (0, 1, 2) else b"\1"
            kept.append(content[start - 4 : start + 11] + known + body[12:])
        elif marker == 0xDA:
            kept.append(content[start - 4 : end])
            tail = content[end:]
        elif marker not in _JPEG_APPLICATIONS and marker != _JPEG_COMMENT:
            kept.append(content[start - 4 : end])
    if any(segment.startswith(_JPEG_SEQUENTIAL) for segment in kept):
        kept[-1] = kept[-1][:-3] + headers.WHOLE_BLOCK
    return b"".join((head, turn, *kept, tail))


def png(content: bytes, header: Header) -> bytes:
    """Keeps palette, transparency, pixels of the first frame, and the orientation."""
    turn = b"eXIf" + exif.block(header.orientation)
    parts = [struct.pack(">I", len(turn) - 4), turn, struct.pack(">I", zlib.crc32(turn))]
    for kind, start, end in headers.png_chunks(content):
        if kind in _PNG_KEPT:
            parts.append(content[start - 8 : end + 4])
    return b"".join((content[:33], *parts))


def gif(content: bytes, header: Header) -> bytes:
    """Keeps the palette, the control extensions of the first frame, and the frames."""
    bounds = list(sizes.gif_extensions(content))
    controls = [content[a:b] for a, b in bounds[:-1] if content[a + 1] == _GIF_CONTROL]
    return b"".join((content[: bounds[0][0]], *controls, content[bounds[-1][0] :]))


MAKERS: dict[str, Callable[[bytes, Header], bytes]] = {"JPEG": jpeg, "PNG": png, "GIF": gif}
"""Functions that reduce a file, by Pillow's names of the formats."""
