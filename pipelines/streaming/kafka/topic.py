"""Messages of one topic of Kafka, as whoever consumes it gets them."""

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
"""Seconds between looks at the clock."""

AT_ONCE = 64
"""Messages that are taken from the client's queue at most before bytes are looked at."""

_NO_TIME = -1

_call_headers = operator.methodcaller("headers")
"""Not `given.headers()`: there Python does not look, in a loop, whether an error is set beside the
result, as the client has it; the error would come up at any place later."""


class Mark(NamedTuple):
    """What stands between messages.

    Attributes:
        partition: Of the topic.
        offset: All before it was read, and no more can be read now; None where the log has nothing
            at the place that was to be read.
    """

    partition: int
    offset: int | None


@dataclasses.dataclass(frozen=True)
class Topic:
    """How its messages are had.

    Attributes:
        servers: `HOST:PORT`.
        topic: Its name.
        group: Whose offsets may be committed; nothing is committed by itself.
        config_file: With properties of the client, see `kafka_properties`.
    """

    servers: str
    topic: str
    group: str
    config_file: str | None = None

    @property
    def log(self) -> str:
        return f"kafka://{self.servers}/{self.topic}"

    def connect(self, more: Mapping[str, Any] | None = None) -> Connection:
        """A new consumer, assigned to nothing; `more` are settings of it."""
        settings = {
            "group.id": self.group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # a place that is not in the log is never left silently
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            **(more or {}),
        }
        return Connection("Consumer", self.servers, settings, self.config_file)

    def consume(self, consumer: Any, count: int, seconds: float) -> Iterator[Message | Mark]:
        """Up to `count` messages and marks that come within some seconds.

        Raises:
            StorageError: Where the broker refuses.
        """
        kafka = load()
        with explained(self.log):
            fetched = consumer.consume(count, timeout=seconds)
        for one in fetched:
            error = one.error()
            if error is None:
                yield self._message(one)
            elif error.code() == kafka.KafkaError._PARTITION_EOF:
                yield Mark(one.partition(), one.offset())
            elif error.code() == kafka.KafkaError._AUTO_OFFSET_RESET:
                yield Mark(one.partition(), None)
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
        """The messages of a part from before a restart, as far as the log still has them."""
        place = load().TopicPartition(self.topic, partition_of(part))
        connection = self.connect()
        consumer = connection.client
        found: list[Message] = []
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
                for one in self.consume(consumer, AT_ONCE, STEP):
                    if isinstance(one, Mark):
                        ended = True
                        continue
                    ended = ended or one.offset + 1 >= part.stop
                    found.append(one)
        finally:
            consumer.close()
        return [one for one in found if part.start <= one.offset < part.stop]


def partition_of(part: Part) -> int:
    """The partition that a part is of."""
    return int(part.source.rpartition("/")[2])


def _headers(given: Any) -> tuple[tuple[tuple[str, bytes | None], ...], str]:
    """A message's headers, and what is wrong with them; they may be asked for once only."""
    try:
        return tuple(_call_headers(given) or ()), ""
    except SystemError:  # how the client tells of a name that Python does not take
        return (), "the name of a header is not UTF-8"
