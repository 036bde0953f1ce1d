"""Messages of a log such as Kafka's -> raw records: one message, one record or one rejected."""

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
"""The passthrough column that holds a message's headers, where it has some."""

ID_HEADER = "id"
"""The header that names a record whose message does not."""

_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_999
"""Milliseconds of the calendar that Python and readers of files know."""

LARGEST = 16 * 2**20
"""Bytes of the largest message that is parsed, unless told otherwise."""


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """One message as its log has it.

    Attributes:
        log: Names the log, such as `kafka://HOST:PORT/TOPIC`.
        topic: The topic alone.
        partition: Of the topic.
        offset: In the partition.
        value: None is what deletes a key in a compacted topic.
        headers: Names and values, in order; one name may stand twice.
        time: When it was sent, in milliseconds since 1970; None where the log does not say.
        flaw: What of the message cannot be read; "" where all can.
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
        """Where it is; with its time where that is one of a calendar, see `has_odd_time`."""
        event_time = None if self.has_odd_time else self.time
        return Position(f"{self.log}/{self.partition}", self.offset, event_time=event_time)

    @property
    def has_odd_time(self) -> bool:
        """Whether its time is before year 1 or after 9999: producers may claim any number."""
        return self.time is not None and not _FIRST <= self.time <= _LAST

    @property
    def own_id(self) -> str:
        """The id of a record to which nobody gave one: always the same for this message."""
        return f"{self.topic}-{self.partition}-{self.offset}"


@dataclasses.dataclass(frozen=True, slots=True)
class Parser:
    """Makes records of messages.

    The id is the record's own, else that of the header `ID_HEADER`, else topic, partition and
    offset. The message's key is not used: producers use it to choose partitions, and it need not
    be unique.

    Attributes:
        format: `json`, an object as in a line of JSONL; `example`, a serialized tf.Example; `avro`,
            the binary encoding of a record.
        labels: The label names that the spec's tasks read; they do not pass through.
        largest: What is longer, in bytes, is rejected.
        schema: Text of the Avro schema, or of a JSON Schema to which objects must conform.
        schema_id: What a registry calls the schema: messages begin with a zero byte and this
            number in four, as Confluent's serializers write them; None where they do not.
    """

    format: MessageFormat = "json"
    labels: Sequence[str] = ()
    largest: int = LARGEST
    schema: str | None = None
    schema_id: int | None = None

    def parse(self, message: Message) -> RawRecord | Rejected:
        """The record in a message; a message that holds none is rejected with its position."""
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
    """Makes the parser that a stream's settings ask for.

    Args:
        config: Of the stream.
        labels: The label names that the spec's tasks read.

    Raises:
        OptionsError: A schema that cannot be read, or is none.
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
    found = int.from_bytes(value[1:5])
    if found != schema_id:
        raise fields.RefusedRecordError(
            Reason.UNPARSABLE, f"the message is of schema {found}, not {schema_id}"
        )
    return value[5:]


def headers(message: Message) -> dict[str, Any]:
    """A message's headers by name: texts where they are UTF-8, else bytes; lists where repeated."""
    found: dict[str, list[Any]] = {}
    for name, value in message.headers:
        found.setdefault(name, []).append(_text(value))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


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
