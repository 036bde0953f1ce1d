"""Records from TFRecord files of tf.Example."""

import hashlib
import struct
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import google_crc32c
from google.protobuf.message import DecodeError

from pipelines import files
from pipelines.sources import changed, fields
from pipelines.units import Unit
from transforms.errors import OptionsError
from transforms.records import MODALITIES, Position, RawRecord, Reason, Rejected

LONGEST = 2**28
"""Bytes of the longest tf.Example; it is held twice, and a small compressed file may claim it."""

_CHUNK = 16 * 2**20


def read(unit: Unit, labels: Sequence[str]) -> Iterator[RawRecord | Rejected]:
    """Reads a file of tf.Example; positions are counted records.

    `image`, `audio` and `text` hold the media themselves, `image_uri`, `audio_uri` and `text_uri`
    say where they are.

    Raises:
        OptionsError: Where the framing is broken: nobody can say how many records come after.
        StorageError: Where the file changed since the plan.
    """
    names = frozenset(labels)
    with files.open_stored(unit.uri) as stored:
        changed.refuse_other_size(unit, files.size(stored))
    with files.open_inflated(unit.uri) as file:
        end = None if files.is_gzip(unit.uri) else unit.stop
        for index, content in enumerate(frames(file, unit.uri, end)):
            position = Position(unit.uri, index, unit.index)
            try:
                row, doubtful = _row(content, names)
                yield fields.assemble(row, position, names, doubtful)
            except fields.RefusedRecordError as error:
                yield fields.rejected(error, position, hashlib.sha256(content).hexdigest())


def frames(file: BinaryIO, uri: str, end: int | None = None) -> Iterator[bytes]:
    """Yields the content of each frame of a TFRecord file.

    Args:
        file: At its beginning.
        uri: Stands in the errors.
        end: Size of the file in bytes, where it is known: a length that leads beyond it is refused
            before anything is read.

    Raises:
        OptionsError: Naming the file and the offset of the first frame that is broken.
    """
    offset = 0
    while head := _bytes(file, 12):
        if len(head) < 12:
            raise _broken(uri, offset, "it is cut off")
        length, check = struct.unpack("<QI", head)
        if check != _masked_crc(head[:8]):
            raise _broken(uri, offset, "its length does not match its checksum")
        if length > LONGEST:
            raise _broken(uri, offset, f"it claims {length} bytes, over {LONGEST}")
        if end is not None and offset + 16 + length > end:
            raise _broken(uri, offset, "it claims more bytes than the file has")
        content = _bytes(file, length)
        tail = _bytes(file, 4)
        if len(content) < length or len(tail) < 4:
            raise _broken(uri, offset, "it is cut off")
        if struct.unpack("<I", tail)[0] != _masked_crc(content):
            raise _broken(uri, offset, "its content does not match its checksum")
        yield content
        offset += 16 + length


def _bytes(file: BinaryIO, count: int) -> bytes:
    """Up to `count` bytes, without reserving memory for what a hostile length claims."""
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


def _broken(uri: str, offset: int, why: str) -> OptionsError:
    return OptionsError(
        f"{uri}: the TFRecord frame at byte {offset} is broken: {why}; "
        "the rest of the file cannot be trusted, write it again"
    )


def _row(content: bytes, names: frozenset[str]) -> tuple[dict[str, Any], bool]:
    """The fields of a tf.Example, and whether a string may hold lone surrogates."""
    from tensorflow.core.example import example_pb2  # 5 CPU-seconds that other formats do not need

    try:
        example = example_pb2.Example.FromString(content)
    except DecodeError as error:
        raise fields.RefusedRecordError(Reason.UNPARSABLE, "not a tf.Example") from error
    values = {name: _value(feature) for name, feature in example.features.feature.items()}
    row: dict[str, Any] = {}
    for name in MODALITIES:
        inline = values.pop(name, None)
        place = values.pop(f"{name}_uri", None)
        row[name] = {"uri": _text(place)} if place and inline in (None, b"") else inline
    doubtful = False
    for name, value in values.items():
        text = _text(value)
        readable = fields.is_unicode(text)
        if readable or name in ("id", "group", "split") or fields.is_label(name, names):
            row[name] = text
            doubtful = doubtful or not readable
        else:
            row[name] = value  # bytes that are no text pass through as they are
    return row, doubtful


def _value(feature: Any) -> Any:
    """A tf.Feature as Python has it: a list only where there are several values."""
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value) if kind else []
    if len(values) > 1:
        return values
    return values[0] if values else None


def _text(value: Any) -> Any:
    """The bytes in a value as strings; others stay."""
    if isinstance(value, list):
        return [_text(part) for part in value]
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else value
