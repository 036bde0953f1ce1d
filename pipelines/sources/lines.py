"""Lines of a file, or of a byte range of it."""

import dataclasses
import hashlib
import re
from collections.abc import Iterator
from typing import BinaryIO

LONGEST = 128 * 2**20
"""Bytes of the longest line that is held in memory."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_CHUNK = 2**20

_CONTINUED = bytes(range(0x80, 0xC0))
_WIDE, _WIDER = re.compile(rb"[\xc4-\xff]"), re.compile(rb"[\xf0-\xff]")


@dataclasses.dataclass(frozen=True, slots=True)
class LongLine:
    """A line longer than `LONGEST`: its digest stands for it."""

    digest: str


def read(
    file: BinaryIO, start: int = 0, stop: int | None = None
) -> Iterator[tuple[int, bytes | LongLine]]:
    """Yields each line, with its end, whose first byte lies in `[start, stop)`, and its offset.

    Args:
        file: At its beginning; one that can seek where `start` is not 0.
        start: In bytes.
        stop: In bytes; None reads to the end.
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
            size, digest = _pass_over(file, line)
            yield offset, LongLine(digest)
            offset += size


def is_long_as_text(line: bytes) -> bool:
    """Whether a line takes more than `LONGEST` bytes as text; a wide character widens all of it."""
    if len(line) <= LONGEST // 4 or line.isascii():
        return False
    width = 4 if _WIDER.search(line) else 2 if _WIDE.search(line) else 1
    return len(line.translate(None, _CONTINUED)) * width > LONGEST


def _first(file: BinaryIO, start: int) -> int:
    """Moves to the first line that begins at `start` or later, and returns its offset."""
    file.seek(start - 1)
    offset = start - 1
    while chunk := file.readline(_CHUNK):
        offset += len(chunk)
        if chunk.endswith(b"\n"):
            break
    return offset


def _pass_over(file: BinaryIO, begun: bytes) -> tuple[int, str]:
    """Reads a line to its end: its size, and the digest of all of it but its end."""
    size = len(begun)
    digest = hashlib.sha256(begun)
    while chunk := file.readline(_CHUNK):
        size += len(chunk)
        digest.update(chunk.rstrip(b"\r\n"))
        if chunk.endswith(b"\n"):
            break
    return size, digest.hexdigest()
