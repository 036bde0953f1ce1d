"""Parser of messages of a log, such as Kafka's; each becomes one raw or one rejected record."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

from triad_ml.pipelines.runtime.names import MessageFormat
from triad_ml.pipelines.sources import fields, jsonl, tfrecord
from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.streaming.messages import avro, json_schema
from triad_ml.pipelines.streaming.settings import StreamSettings
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records.values import Position, RawRecord, Reason, Rejected

HEADERS = "message_headers"
"""Passthrough column that holds a message's headers, if it has any."""

ID_HEADER = "id"
"""Header with the record's id, used if the record has no id."""

_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_999
"""First and last millisecond, since 1970, of the years 1 to 9999 that Python's calendar has."""

LARGEST = 16 * 2**20
"""Default size of the largest message that is parsed, in bytes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """Message as stored in its log.

    Attributes:
        log: Address of the log, such as `kafka://HOST:PORT/TOPIC`.
        topic: Name of the topic.
        partition: Number of the partition.
        offset: Offset in the partition.
        value: Payload; None is a tombstone, which deletes a key in a compacted topic.
        headers: Names and values, in order; a name may be repeated.
        time: Time of sending, in milliseconds since 1970; None if the log has none.
        flaw: Description of an unreadable part of the message; "" if all of it is readable.
    """

    log: str
    topic: str
    partition: int
    offset: int
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    time: int | None = None
    flaw: str = ""

    @property
    def position(self) -> Position:
        """Log, partition and offset; with the event time, unless `has_odd_time`."""
        event_time = None if self.has_odd_time else self.time
        return Position(f"{self.log}/{self.partition}", self.offset, event_time=event_time)

    @property
    def has_odd_time(self) -> bool:
        """True if its time is before year 1 or after 9999: producers may set any number."""
        return self.time is not None and not _FIRST <= self.time <= _LAST

    @property
    def own_id(self) -> str:
        """Id for a record without an id: always the same for this message."""
        return f"{self.topic}-{self.partition}-{self.offset}"


@dataclasses.dataclass(frozen=True, slots=True)
class Parser:
    """Parser of messages into raw records.

    A record's id is its field `id`, else the header `ID_HEADER`, else topic, partition and offset.
    The message's key is not used: producers use it to choose partitions, and it need not be unique.

    Attributes:
        format: Format of the payload: `json`, an object as in a line of JSONL; `example`, a
            serialized tf.Example; `avro`, the binary encoding of a record.
        labels: Names of the labels that the spec's tasks read; they are not passed through.
        largest: Size in bytes above which a message is rejected.
        schema: Text of the Avro schema, or of a JSON Schema to which objects must conform.
        schema_id: Id of the schema in a registry. Messages then begin with a zero byte and this id
            in four bytes, as Confluent's serializers write them. None if they have no such prefix.
    """

    format: MessageFormat = "json"
    labels: Sequence[str] = ()
    largest: int = LARGEST
    schema: str | None = None
    schema_id: int | None = None

    def parse(self, message: Message) -> RawRecord | Rejected:
        """Returns the record of a message, or a rejected record with the message's position."""
        value = message.value or b""
        try:
            if message.value is None:
                raise fields.RefusedRecordError(Reason.EMPTY, "the message has no value")
            if message.flaw:
                raise fields.RefusedRecordError(Reason.UNPARSABLE, message.flaw)
            if len(value) > self.largest:
                raise fields.RefusedRecordError(
                    Reason.UNPARSABLE, f"the message is longer than {self.largest} bytes"
                )
            return self._record(message, value)
        except fields.RefusedRecordError as error:
            digest = hashlib.sha256(value).hexdigest()
            return fields.rejected(error, message.position, digest)

    def _record(self, message: Message, value: bytes) -> RawRecord:
        names = frozenset(self.labels)
        if self.schema_id is not None:
            value = _without_header(value, self.schema_id)
        if self.format == "example":
            row, doubtful = tfrecord.parse(value, names)
        elif self.format == "avro":
            row, doubtful = avro.parse(value, self.schema or ""), True
        else:
            row, doubtful = jsonl.parse(value)
            if self.schema is not None:
                json_schema.require(row, self.schema)
        if row.get("id") in (None, "", b""):
            row["id"] = _header_id(message) or message.own_id
        if message.headers:
            if HEADERS in row:
                raise fields.RefusedRecordError(
                    Reason.UNPARSABLE,
                    f"the field {HEADERS} is in the way of the message's own headers",
                )
            row[HEADERS] = headers(message)
        return fields.assemble(row, message.position, names, doubtful)


def parser(config: StreamSettings, labels: Sequence[str]) -> Parser:
    """Builds the parser for a stream's settings.

    Args:
        config: Settings of the stream.
        labels: Names of the labels that the spec's tasks read.

    Raises:
        OptionsError: If the schema cannot be read or is invalid.
    """
    schema = None
    if config.message_schema is not None:
        schema = _schema(config.message_schema, config.message_format)
    return Parser(
        config.message_format, labels, config.message_bytes, schema, config.message_schema_id
    )


def _schema(path: str, format: MessageFormat) -> str:
    try:
        content = atomic.read_if_there(path)
        if content is None:
            raise OptionsError(f"--message-schema: {path}: no such file; name one that is there")
        text = content.decode()
        (avro if format == "avro" else json_schema).check(text)
    except ValueError as error:
        raise OptionsError(
            f"--message-schema: {path}: {error}; mend it, or name another"
        ) from error
    return text


def _without_header(value: bytes, schema_id: int) -> bytes:
    if value[:1] != b"\0" or len(value) < 5:
        raise fields.RefusedRecordError(
            Reason.UNPARSABLE, "the message does not begin with the number of a schema"
        )
    message_id = int.from_bytes(value[1:5])
    if message_id != schema_id:
        raise fields.RefusedRecordError(
            Reason.UNPARSABLE, f"the message is of schema {message_id}, not {schema_id}"
        )
    return value[5:]


def headers(message: Message) -> dict[str, Any]:
    """Returns a message's headers by name: strings if UTF-8, else bytes; a list if repeated."""
    by_name: dict[str, list[Any]] = {}
    for name, value in message.headers:
        by_name.setdefault(name, []).append(_text(value))
    return {name: values[0] if len(values) == 1 else values for name, values in by_name.items()}


def _header_id(message: Message) -> Any:
    for name, value in message.headers:
        if name == ID_HEADER and value:
            return value.decode(errors="surrogateescape")
    return None


def _text(value: bytes | None) -> Any:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value
