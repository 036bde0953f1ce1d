"""Messages of one topic of Kafka, as whoever consumes it gets them."""

import dataclasses
import time
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.streaming.batches import Part
from pipelines.streaming.kafka_client import TIMEOUT, Connection, explained, load
from pipelines.streaming.messages import Message
from transforms.errors import OptionsError, StorageError

STEP = 0.1
"""Seconds between looks at the clock."""

AT_ONCE = 64
"""Messages that are taken from the client's queue at most before bytes are looked at."""


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
            "auto.offset.reset": "earliest",
            **(more or {}),
        }
        return Connection("Consumer", self.servers, settings, self.config_file)

    def partitions(self, connection: Connection) -> list[int]:
        """The numbers of its partitions.

        Raises:
            OptionsError: Where there is no such topic.
            StorageError: Where no broker answers.
        """
        with explained(self.log, connection):
            about = connection.client.list_topics(self.topic, timeout=TIMEOUT).topics[self.topic]
        if about.error is not None or not about.partitions:
            raise OptionsError(f"{self.log}: no such topic; create it, or name another")
        return sorted(about.partitions)

    def consume(self, consumer: Any, count: int, seconds: float) -> Iterator[Message]:
        """Up to `count` messages that come within some seconds.

        Raises:
            StorageError: Where the broker refuses.
        """
        kafka = load()
        with explained(self.log):
            fetched = consumer.consume(count, timeout=seconds)
        for one in fetched:
            error = one.error()
            if error is not None:
                if error.retriable() or error.code() == kafka.KafkaError._ALL_BROKERS_DOWN:
                    continue
                raise StorageError(f"{self.log}: {error.str()}; see to the cause, then run again")
            kind, sent = one.timestamp()
            yield Message(
                self.log,
                self.topic,
                one.partition(),
                one.offset(),
                one.value(),
                tuple(one.headers() or ()),
                None if kind == kafka.TIMESTAMP_NOT_AVAILABLE else sent,
            )

    def again(self, part: Part) -> list[Message]:
        """The messages of a part from before a restart, as far as the log still has them."""
        place = load().TopicPartition(self.topic, partition_of(part), part.start)
        consumer = self.connect().client
        found: list[Message] = []
        try:
            with explained(self.log):
                _, end = consumer.get_watermark_offsets(place, timeout=TIMEOUT)
            consumer.assign([place])
            until = time.monotonic() + 6 * TIMEOUT
            while max(0, consumer.position([place])[0].offset) < min(part.stop, end):
                if time.monotonic() > until:
                    raise StorageError(f"{part.source}: does not answer; run again when it does")
                found.extend(self.consume(consumer, AT_ONCE, STEP))
        finally:
            consumer.close()
        return [one for one in found if part.start <= one.offset < part.stop]


def partition_of(part: Part) -> int:
    """The partition that a part is of."""
    return int(part.source.rpartition("/")[2])
