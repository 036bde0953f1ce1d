"""Records from TFRecord files of tf.Example."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from triad_ml.pipelines.sources import example_sizes, fields
from triad_ml.pipelines.sources.files import InputFile, Unit, refuse_other_size
from triad_ml.pipelines.storage import opening
from triad_ml.transforms.files import tfrecord_reader
from triad_ml.transforms.records.values import MODALITIES, Position, RawRecord, Reason, Rejected


def read(unit: Unit, labels: Sequence[str]) -> Iterator[RawRecord | Rejected]:
    """Reads a file of tf.Example; positions are counted records.

    `image`, `audio` and `text` hold the media themselves, `image_uri`, `audio_uri` and `text_uri`
    say where they are.

    Raises:
        OptionsError: Where the framing is broken: nobody can say how many records come after.
        StorageError: Where the file changed since the plan.
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
            except fields.RefusedRecordError as error:
                yield fields.rejected(error, position, hashlib.sha256(content).hexdigest())


def parse(content: bytes, names: frozenset[str]) -> tuple[dict[str, Any], bool]:
    """The fields of a tf.Example, and whether a string may hold lone surrogates.

    Raises:
        RefusedRecordError: Where the content is no tf.Example, or one of too many values.
    """
    from tensorflow.core.example import example_pb2  # 5 CPU-seconds that other formats do not need

    example_sizes.check(content)
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


class TfRecordReader:
    """TFRecord files of tf.Example."""

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
