"""Consumer of one Kafka topic: connections, messages, and ranges that are read again."""

import dataclasses
import operator
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from triad_ml.pipelines.streaming.interfaces import Part
from triad_ml.pipelines.streaming.kafka.client import TIMEOUT, Connection, explained, load
from triad_ml.pipelines.streaming.kafka.places import passed_over
from triad_ml.pipelines.streaming.messages.parser import Message
from triad_ml.transforms.errors import StorageError

STEP = 0.1
"""Longest wait for messages in seconds, after which the clock is checked."""

AT_ONCE = 64
"""Most messages that are taken from the client's queue before their bytes are counted."""

_NO_TIME = -1

_call_headers = operator.methodcaller("headers")
"""Call of `headers()` from C. The client may return a result with an error set; in a loop, Python
does not check that after a direct call, and the error would be raised at some later place."""


class Mark(NamedTuple):
    """Event of a partition between messages: its end, or an offset that the log does not have.

    Attributes:
        partition: Number of the partition.
        offset: Offset before which everything is read, at the current end of the partition; None if
            the log has nothing at the offset that was to be read.
    """

    partition: int
    offset: int | None


@dataclasses.dataclass(frozen=True)
class Topic:
    """Topic of Kafka, with the settings by which it is consumed.

    Attributes:
        servers: Address of the brokers, `HOST:PORT`.
        topic: Name of the topic.
        group: Consumer group for committed offsets; nothing is committed automatically.
        config_file: File with properties of the client, see `properties.read`.
    """

    servers: str
    topic: str
    group: str
    config_file: str | None = None

    @property
    def log(self) -> str:
        return f"kafka://{self.servers}/{self.topic}"

    def connect(self, more: Mapping[str, Any] | None = None) -> Connection:
        """Opens a consumer without an assignment; `more` are further properties of it."""
        settings = {
            "group.id": self.group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # reports an offset that is not in the log
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            **(more or {}),
        }
        return Connection("Consumer", self.servers, settings, self.config_file)

    def consume(self, consumer: Any, count: int, seconds: float) -> Iterator[Message | Mark]:
        """Yields up to `count` messages and marks that arrive within some seconds.

        Raises:
            StorageError: If the broker refuses.
        """
        kafka = load()
        with explained(self.log):
            fetched = consumer.consume(count, timeout=seconds)
        for message in fetched:
            error = message.error()
            if error is None:
                yield self._message(message)
            elif error.code() == kafka.KafkaError._PARTITION_EOF:
                yield Mark(message.partition(), message.offset())
            elif error.code() == kafka.KafkaError._AUTO_OFFSET_RESET:
                yield Mark(message.partition(), None)
            elif not error.retriable() and error.code() != kafka.KafkaError._ALL_BROKERS_DOWN:
                raise StorageError(f"{self.log}: {error.str()}; see to the cause, then run again")

    def _message(self, given: Any) -> Message:
        kind, sent = given.timestamp()
        headers, flaw = _headers(given)
        return Message(
            self.log,
            self.topic,
            given.partition(),
            given.offset(),
            given.value(),
            headers,
            None if kind == load().TIMESTAMP_NOT_AVAILABLE or sent == _NO_TIME else sent,
            flaw,
        )

    def again(self, part: Part) -> list[Message]:
        """Reads again the messages of a part, as far as the log still has them.

        Raises:
            StorageError: If the broker does not answer.
        """
        place = load().TopicPartition(self.topic, partition_of(part))
        connection = self.connect()
        consumer = connection.client
        messages: list[Message] = []
        try:
            with explained(self.log, connection):
                low, _ = consumer.get_watermark_offsets(place, timeout=TIMEOUT)
            passed_over(part.source, part.start, min(low, part.stop))
            place.offset = max(part.start, low)
            consumer.assign([place])
            until = time.monotonic() + 6 * TIMEOUT
            ended = place.offset >= part.stop
            while not ended:
                if time.monotonic() > until:
                    raise StorageError(f"{part.source}: does not answer; run again when it does")
                for message in self.consume(consumer, AT_ONCE, STEP):
                    if isinstance(message, Mark):
                        ended = True
                        continue
                    ended = ended or message.offset + 1 >= part.stop
                    messages.append(message)
        finally:
            consumer.close()
        return [message for message in messages if part.start <= message.offset < part.stop]


def partition_of(part: Part) -> int:
    """Returns the number of a part's partition."""
    return int(part.source.rpartition("/")[2])


def _headers(given: Any) -> tuple[tuple[tuple[str, bytes | None], ...], str]:
    """Returns a message's headers and their flaw, or ""; may be called only once for a message."""
    try:
        return tuple(_call_headers(given) or ()), ""
    except SystemError:  # the client raises it for a name that Python cannot decode
        return (), "the name of a header is not UTF-8"
