"""Lines of a file or of a byte range of it, with a limit on their length in memory."""

import dataclasses
import hashlib
import re
from collections.abc import Iterator
from typing import BinaryIO

LONGEST = 128 * 2**20
"""Length in bytes of the longest line that is held in memory."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_CHUNK = 2**20

_CONTINUED = bytes(range(0x80, 0xC0))
_WIDE, _WIDER = re.compile(rb"[\xc4-\xff]"), re.compile(rb"[\xf0-\xff]")


@dataclasses.dataclass(frozen=True, slots=True)
class LongLine:
    """Line longer than `LONGEST`, of which only the SHA-256 is kept."""

    digest: str


def read(
    file: BinaryIO, start: int = 0, stop: int | None = None
) -> Iterator[tuple[int, bytes | LongLine]]:
    """Yields the offset and the content of each line whose first byte is in `[start, stop)`.

    A line includes its line end.

    Args:
        file: File at its beginning; it must be seekable if `start` is not 0.
        start: Offset in bytes.
        stop: Offset in bytes; None reads to the end.
    """
    offset = _first(file, start) if start else 0
    while stop is None or offset < stop:
        line = file.readline(LONGEST)
        if not line:
            return
        if len(line) < LONGEST or line.endswith(b"\n"):
            yield offset, line
            offset += len(line)
        else:
            size, digest = _skip(file, line)
            yield offset, LongLine(digest)
            offset += size


def is_long_as_text(line: bytes) -> bool:
    """Returns True if a line takes more than `LONGEST` bytes as a Python string.

    One wide character widens all characters of the string, to 2 or 4 bytes each.
    """
    if len(line) <= LONGEST // 4 or line.isascii():
        return False
    width = 4 if _WIDER.search(line) else 2 if _WIDE.search(line) else 1
    return len(line.translate(None, _CONTINUED)) * width > LONGEST


def _first(file: BinaryIO, start: int) -> int:
    """Seeks the first line that begins at `start` or later, and returns its offset."""
    file.seek(start - 1)
    offset = start - 1
    while chunk := file.readline(_CHUNK):
        offset += len(chunk)
        if chunk.endswith(b"\n"):
            break
    return offset


def _skip(file: BinaryIO, begun: bytes) -> tuple[int, str]:
    """Reads a line to its end; returns its size, and its SHA-256 without the line end."""
    size = len(begun)
    digest = hashlib.sha256(begun)
    while chunk := file.readline(_CHUNK):
        size += len(chunk)
        digest.update(chunk.rstrip(b"\r\n"))
        if chunk.endswith(b"\n"):
            break
    return size, digest.hexdigest()
