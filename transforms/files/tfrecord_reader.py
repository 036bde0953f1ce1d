"""Reader of TFRecord frames that checks every length and checksum.

TensorFlow's own reader allocates as much memory as a length claims: a file of 15 bytes can end the
process.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c

from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.files.gzip_reader import InflateError

LONGEST = 2**28
"""Bytes of the longest tf.Example, which bounds memory: reading it takes twice as much, and even a
small compressed file can claim this length."""

_CHUNK = 16 * 2**20
_HEAD, _TAIL = struct.Struct("<QI"), struct.Struct("<I")


def frames(
    file: BinaryIO,
    uri: str,
    end: int | None = None,
    longest: int = LONGEST,
    remedy: str = "write it again",
) -> Iterator[bytes]:
    """Yields the content of each frame of a TFRecord file.

    Args:
        file: The file, at its beginning.
        uri: URI of the file, for errors.
        end: Size of the file in bytes, None if it is unknown. A length that leads beyond it is
            refused before the content is read.
        longest: Bytes of the longest content. A larger length is refused before the content is
            read.
        remedy: Remedy in errors.

    Raises:
        OptionsError: If a frame is broken; names the file, and the index and byte offset of the
            first broken frame, both from 0. The offset in a compressed file counts inflated bytes.
    """
    offset = index = 0

    def broken(why: str) -> OptionsError:
        return OptionsError(
            f"{uri}: the TFRecord frame at byte {offset} (record {index}) is broken: {why}; "
            f"the rest of the file cannot be trusted, {remedy}"
        )

    try:
        while head := file.read(_HEAD.size):
            if len(head) < _HEAD.size:
                raise broken("it is cut off")
            length, check = _HEAD.unpack(head)
            if check != _masked_crc(head[:8]):
                raise broken("its length does not match its checksum")
            if length > longest:
                raise broken(f"it claims {length} bytes, over {longest}")
            if end is not None and offset + 16 + length > end:
                raise broken("it claims more bytes than the file has")
            content = _bytes(file, length)
            tail = file.read(_TAIL.size)
            if len(content) < length or len(tail) < _TAIL.size:
                raise broken("it is cut off")
            if _TAIL.unpack(tail)[0] != _masked_crc(content):
                raise broken("its content does not match its checksum")
            yield content
            offset += 16 + length
            index += 1
    except InflateError as error:
        why = str(error).removeprefix(f"{uri}: ").partition(";")[0]
        raise broken(f"the file {why}") from error


def _bytes(file: BinaryIO, count: int) -> bytes:
    """Reads up to `count` bytes; allocates no more memory than the file has bytes."""
    if count <= _CHUNK:
        return file.read(count)
    parts = []
    while count and (part := file.read(min(count, _CHUNK))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _masked_crc(content: bytes) -> int:
    crc: int = google_crc32c.value(content)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
