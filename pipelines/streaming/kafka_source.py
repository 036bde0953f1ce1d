"""A topic of Kafka: messages by ranges of offsets, committed once their output is durable."""

import collections
import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.streaming.batches import Item, Part
from pipelines.streaming.kafka_client import TIMEOUT, Connection, coordinated, explained, load
from pipelines.streaming.messages import Message, Parser
from transforms.errors import OptionsError, StorageError
from transforms.records import RawRecord, Rejected

BATCH_BYTES = 64 * 2**20

_STEP = 0.1  # seconds between looks at the clock


_held: dict[Part, list[Message]] = {}
"""What was fetched and is not done: pipelines run in this process, and Beam would copy, compress
and hold every message that crosses into one."""


@dataclasses.dataclass(frozen=True)
class MessagesItem:
    """The messages of a part, which this process holds."""

    part: Part
    parser: Parser

    def read(self) -> Iterator[RawRecord | Rejected]:
        """Gives one record, or one rejected, for each message."""
        return map(self.parser.parse, _held[self.part])


class KafkaSource:
    """All partitions of one topic; one process for each group.

    It begins where the group's committed offsets are, or behind what the journal knows of, whatever
    is later; else at the beginning of the topic.

    Args:
        servers: `HOST:PORT`.
        topic: Its name.
        group: Whose offsets are committed.
        parser: Makes records of messages.
        batch_records: Messages in a batch at most.
        seconds: How long a batch waits to be filled.
        given: Parts given out in the past.
        config_file: With properties of the client, see `kafka_properties`.

    Raises:
        OptionsError: Where the topic does not exist, or the file cannot be used.
        StorageError: Where no broker answers.
    """

    pause = 0.0

    def __init__(
        self,
        servers: str,
        topic: str,
        group: str,
        parser: Parser,
        batch_records: int,
        seconds: float,
        given: Sequence[Part] = (),
        config_file: str | None = None,
    ) -> None:
        self._kafka = load()
        self._log, self._topic, self._parser = f"kafka://{servers}/{topic}", topic, parser
        self._batch_records, self._seconds = batch_records, seconds
        self._servers, self._config_file = servers, config_file
        self._settings = {
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
        }
        self._connection = self._connect()
        self._consumer = self._connection.client
        with explained(self._log, self._connection):
            about = self._consumer.list_topics(topic, timeout=TIMEOUT).topics[topic]
            if about.error is not None or not about.partitions:
                raise OptionsError(f"{self._log}: no such topic; create it, or name another")
            self._begin(sorted(about.partitions), given)

    def _connect(self) -> Connection:
        return Connection("Consumer", self._servers, self._settings, self._config_file)

    def _begin(self, partitions: Sequence[int], given: Sequence[Part]) -> None:
        behind: dict[str, int] = collections.defaultdict(int)
        for part in given:
            behind[part.source] = max(behind[part.source], part.stop)
        wanted = [self._kafka.TopicPartition(self._topic, number) for number in partitions]
        committed = coordinated(lambda: self._consumer.committed(wanted, timeout=TIMEOUT))
        self._next: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        for one in committed:
            low, self._ends[one.partition] = self._consumer.get_watermark_offsets(
                one, timeout=TIMEOUT
            )
            start = max(one.offset, behind[f"{self._log}/{one.partition}"], low)
            self._next[one.partition] = one.offset = start
        self._consumer.assign(committed)

    def poll(self) -> tuple[Part, ...]:
        messages: list[Message] = []
        size = 0
        until = time.monotonic() + max(self._seconds, _STEP)
        while len(messages) < self._batch_records and size < BATCH_BYTES:
            if time.monotonic() >= until:
                break
            for one in self._consume(self._consumer, min(64, self._batch_records - len(messages))):
                messages.append(one)
                size += len(one.value or b"")
            if not messages and self.is_drained():
                break
        found = self._parts(messages)
        _held.update(found)
        return tuple(found)

    def items(self, parts: Sequence[Part]) -> Sequence[Item]:
        for part in parts:
            if part not in _held:
                _held[part] = self._again(part)
        return [MessagesItem(part, self._parser) for part in parts]

    def unchanged(self, parts: Sequence[Part]) -> tuple[Part, ...]:
        return tuple(parts)

    def done(self, parts: Sequence[Part]) -> None:
        for part in parts:
            _held.pop(part, None)
        offsets = [
            self._kafka.TopicPartition(self._topic, _partition(part), part.stop) for part in parts
        ]
        with explained(self._log, self._connection):
            coordinated(lambda: self._consumer.commit(offsets=offsets, asynchronous=False))

    def needed(self, parts: Sequence[Part]) -> Sequence[Part]:
        """The last one of each partition: all before it is done."""
        return list({part.source: part for part in sorted(parts, key=lambda p: p.stop)}.values())

    def is_drained(self) -> bool:
        return all(self._position(number) >= end for number, end in self._ends.items())

    def close(self) -> None:
        for part in [part for part in _held if part.source.rpartition("/")[0] == self._log]:
            del _held[part]
        self._consumer.close()

    def _position(self, partition: int) -> int:
        one = self._consumer.position([self._kafka.TopicPartition(self._topic, partition)])[0]
        return max(
            self._next[partition], int(one.offset)
        )  # markers of transactions have offsets too

    def _consume(self, consumer: Any, count: int) -> Iterator[Message]:
        with explained(self._log):
            fetched = consumer.consume(count, timeout=_STEP)
        for one in fetched:
            error = one.error()
            if error is not None:
                if error.retriable() or error.code() == self._kafka.KafkaError._ALL_BROKERS_DOWN:
                    continue
                raise StorageError(f"{self._log}: {error.str()}; see to the cause, then run again")
            kind, sent = one.timestamp()
            yield Message(
                self._log,
                self._topic,
                one.partition(),
                one.offset(),
                one.value(),
                tuple(one.headers() or ()),
                None if kind == self._kafka.TIMESTAMP_NOT_AVAILABLE else sent,
            )

    def _parts(self, messages: Sequence[Message]) -> dict[Part, list[Message]]:
        by_partition: dict[int, list[Message]] = collections.defaultdict(list)
        for one in messages:
            by_partition[one.partition].append(one)
        found = {}
        for partition, run in sorted(by_partition.items()):
            start, stop = self._next[partition], run[-1].offset + 1
            self._next[partition] = stop
            found[Part(f"{self._log}/{partition}", start, stop)] = run
        return found

    def _again(self, part: Part) -> list[Message]:
        """The messages of a part from before a restart, as far as the log still has them."""
        place = self._kafka.TopicPartition(self._topic, _partition(part), part.start)
        consumer = self._connect().client
        found: list[Message] = []
        try:
            with explained(self._log):
                _, end = consumer.get_watermark_offsets(place, timeout=TIMEOUT)
            consumer.assign([place])
            until = time.monotonic() + 6 * TIMEOUT
            while max(0, consumer.position([place])[0].offset) < min(part.stop, end):
                if time.monotonic() > until:
                    raise StorageError(f"{part.source}: does not answer; run again when it does")
                found.extend(self._consume(consumer, 64))
        finally:
            consumer.close()
        return [one for one in found if part.start <= one.offset < part.stop]


def _partition(part: Part) -> int:
    return int(part.source.rpartition("/")[2])
