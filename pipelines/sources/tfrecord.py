"""Reader of TFRecord files of tf.Examples, whose sizes are checked before they are parsed."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from triad_ml.pipelines.sources import fields
from triad_ml.pipelines.sources.fields import MOST_FIELDS, MOST_VALUES, RefusedRecordError
from triad_ml.pipelines.sources.files import InputFile, Unit, refuse_other_size
from triad_ml.pipelines.storage import opening
from triad_ml.transforms.files import tfrecord_reader
from triad_ml.transforms.records.values import MODALITIES, Position, RawRecord, Reason, Rejected

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FLOATS, _INTEGERS = 2, 3  # Field numbers in a Feature; the third kind are bytes.

MOST_PARTS = 4 * MOST_VALUES
"""Largest number of fields of protocol buffers that are walked, also unknown ones."""

_NOT_FINAL = bytes(range(128, 256))  # Bytes of a varint, except its last.


def read(unit: Unit, labels: Sequence[str]) -> Iterator[RawRecord | Rejected]:
    """Reads a file of tf.Examples; positions are the indices of records.

    The features `image`, `audio` and `text` hold the media themselves; `image_uri`, `audio_uri` and
    `text_uri` hold their URIs.

    Raises:
        OptionsError: The framing is broken, so that the records after it cannot be found.
        StorageError: The file changed since the plan.
    """
    names = frozenset(labels)
    with opening.open_stored(unit.uri) as stored:
        refuse_other_size(unit, opening.size(stored))
    with opening.open_inflated(unit.uri) as file:
        end = None if opening.is_gzip(unit.uri) else unit.stop
        for index, content in enumerate(tfrecord_reader.frames(file, unit.uri, end)):
            position = Position(unit.uri, index, unit.index)
            try:
                row, doubtful = parse(content, names)
                yield fields.assemble(row, position, names, doubtful)
            except RefusedRecordError as error:
                yield fields.rejected(error, position, hashlib.sha256(content).hexdigest())


def parse(content: bytes, names: frozenset[str]) -> tuple[dict[str, Any], bool]:
    """Parses a tf.Example.

    Returns:
        Fields by name, and True if a string may hold lone surrogates.

    Raises:
        RefusedRecordError: The content is no tf.Example, or has too many values.
    """
    from tensorflow.core.example import example_pb2  # 5 CPU-seconds, not needed by other formats.

    check_size(content)
    try:
        example = example_pb2.Example.FromString(content)
    except DecodeError as error:
        raise RefusedRecordError(Reason.UNPARSABLE, "not a tf.Example") from error
    values = {name: _value(feature) for name, feature in example.features.feature.items()}
    row: dict[str, Any] = {}
    for name in MODALITIES:
        inline = values.pop(name, None)
        uri = values.pop(f"{name}_uri", None)
        row[name] = {"uri": _text(uri)} if uri and inline in (None, b"") else inline
    doubtful = False
    for name, value in values.items():
        text = _text(value)
        readable = fields.is_unicode(text)
        if readable or name in ("id", "group", "split") or fields.is_label(name, names):
            row[name] = text
            doubtful = doubtful or not readable
        else:
            row[name] = value  # Bytes that are no text pass through unchanged.
    return row, doubtful


def _value(feature: Any) -> Any:
    """Returns the value of a tf.Feature: a list of several values, a single value, or None."""
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value) if kind else []
    if len(values) > 1:
        return values
    return values[0] if values else None


def _text(value: Any) -> Any:
    """Decodes the bytes in a value; other values are unchanged."""
    if isinstance(value, list):
        return [_text(part) for part in value]
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else value


def check_size(content: bytes) -> None:
    """Refuses a tf.Example with too many features or values, by its framing, without parsing it.

    A value of one byte takes at least eight bytes once it is parsed.

    Raises:
        RefusedRecordError: The content has more than `MOST_FIELDS` features or `MOST_VALUES`
            values, or is no tf.Example.
    """
    if len(content) <= MOST_VALUES:
        return
    walk = _Walk(content)
    features = values = 0
    for example in walk.parts(0, len(content), 1):
        for entry in walk.parts(*example[2:], 1):
            features += 1
            if features > MOST_FIELDS:
                raise _too_large(f"the record has over {MOST_FIELDS} fields")
            for feature in walk.parts(*entry[2:], 2):
                for kind, _, start, stop in walk.parts(*feature[2:]):
                    for count in walk.counts(kind, start, stop):
                        values += count
                        if values > MOST_VALUES:
                            raise _too_large(f"the record has over {MOST_VALUES} values")


class _Walk:
    """Walk through nested protocol buffers, of at most `MOST_PARTS` fields in all."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._left = MOST_PARTS

    def counts(self, kind: int, start: int, stop: int) -> Iterator[int]:
        """Yields the number of values in each field of a list; `kind` is that of the Feature."""
        for _, wire, begin, end in self.parts(start, stop, 1):
            packed = wire == _LENGTH
            if packed and kind == _FLOATS:
                yield (end - begin) // 4
            elif packed and kind == _INTEGERS:
                yield len(self._content[begin:end].translate(None, _NOT_FINAL))
            else:
                yield 1

    def parts(self, start: int, stop: int, wanted: int = 0) -> Iterator[tuple[int, int, int, int]]:
        """Yields the fields of a message: number, wire type, start and end of the value.

        With `wanted`, only fields of this number are yielded.
        """
        for part in _parts(self._content, start, stop):
            self._left -= 1
            if self._left < 0:
                raise _too_large(f"the record has over {MOST_PARTS} parts")
            if not wanted or part[0] == wanted:
                yield part


def _parts(content: bytes, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    offset = start
    while offset < stop:
        tag, offset = _varint(content, offset, stop)
        wire = tag & 7
        if wire == _VARINT:
            _, end = _varint(content, offset, stop)
        elif wire == _LENGTH:
            length, offset = _varint(content, offset, stop)
            end = offset + length
        elif wire in (_FIXED64, _FIXED32):
            end = offset + (8 if wire == _FIXED64 else 4)
        else:
            raise _no_example()
        if end > stop:
            raise _no_example()
        yield tag >> 3, wire, offset, end
        offset = end


def _varint(content: bytes, offset: int, stop: int) -> tuple[int, int]:
    """Decodes a varint; returns its value and the offset after it."""
    value = shift = 0
    while offset < stop and shift < 70:
        byte = content[offset]
        offset += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, offset
        shift += 7
    raise _no_example()


def _no_example() -> RefusedRecordError:
    return RefusedRecordError(Reason.UNPARSABLE, "not a tf.Example")


def _too_large(why: str) -> RefusedRecordError:
    return RefusedRecordError(Reason.TOO_LARGE, why)


class TfRecordReader:
    """Reader of TFRecord files of tf.Examples."""

    suffixes = (".tfrecord", ".tfrecord.gz")
    may_be_empty = True
    can_be_entered = False
    read = staticmethod(read)

    def ranges(
        self, file: InputFile, unit_bytes: int, unit_records: int
    ) -> Iterator[tuple[int, int]]:
        yield 0, file.size

    def records(self, file: InputFile) -> float | None:
        return None
