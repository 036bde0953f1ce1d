"""A topic of Kafka: messages by ranges of offsets, committed once their output is durable."""

import collections
import dataclasses
import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence

from pipelines.streaming.batches import Item, Load, Part
from pipelines.streaming.kafka_client import TIMEOUT, coordinated, explained, load
from pipelines.streaming.kafka_topic import AT_ONCE, STEP, Topic, partition_of
from pipelines.streaming.messages import Message, Parser
from transforms.records import RawRecord, Rejected

BATCH_BYTES = 64 * 2**20

_STATISTICS = 1000  # milliseconds between what the client says of its queue


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


def hold(part: Part, messages: Sequence[Message]) -> None:
    """Keeps the messages of a part in this process, where its item finds them."""
    _held[part] = list(messages)


def let_go(parts: Iterable[Part]) -> None:
    """Forgets the messages of parts."""
    for part in parts:
        _held.pop(part, None)


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
        seconds: How long a batch waits, from its first message on, to be filled. What came while
            the batch before was in work has waited since that one was given out.
        given: Parts given out in the past.
        config_file: With properties of the client, see `kafka_properties`.
        batch_bytes: A batch that holds as many is full, and no more are fetched ahead.
        only_there: Whether what comes after the start is left to another start.

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
        batch_bytes: int = BATCH_BYTES,
        only_there: bool = False,
    ) -> None:
        self._kafka = load()
        self._log, self._topic, self._parser = f"kafka://{servers}/{topic}", topic, parser
        self._batch_records, self._batch_bytes = batch_records, batch_bytes
        self._seconds, self._only_there = seconds, only_there
        self._queue = (0, 0)
        self._given_out = -math.inf
        self._ahead: collections.deque[Message] = collections.deque()
        settings = {
            "queued.max.messages.kbytes": max(1, batch_bytes // 1024),
            "statistics.interval.ms": _STATISTICS,
            "stats_cb": self._note_queue,
        }
        self._reader = Topic(servers, topic, group, config_file)
        self._connection = self._reader.connect(settings)
        self._consumer = self._connection.client
        with explained(self._log, self._connection):
            self._begin(self._reader.partitions(self._connection), given)

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
        if not self._ahead:
            self._ahead.extend(self._reader.consume(self._consumer, AT_ONCE, 0))
        until = self._given_out + self._seconds if self._ahead else math.inf
        while len(messages) < self._batch_records and size < self._batch_bytes:
            if not self._ahead:
                left = min(STEP, max(0.0, until - time.monotonic()))
                self._ahead.extend(
                    self._reader.consume(self._consumer, AT_ONCE if messages else 1, left)
                )
            if not self._ahead:
                if not messages or time.monotonic() >= until:
                    break
                continue
            until = min(until, time.monotonic() + self._seconds)
            messages.append(self._ahead.popleft())
            size += len(messages[-1].value or b"")
        if self._only_there:
            messages = [one for one in messages if one.offset < self._ends[one.partition]]
        found = self._parts(messages)
        _held.update(found)
        self._given_out = time.monotonic()
        return tuple(found)

    def items(self, parts: Sequence[Part], labels: Sequence[str]) -> Sequence[Item]:
        parser = dataclasses.replace(self._parser, labels=tuple(labels))
        for part in parts:
            self.messages(part)
        return [MessagesItem(part, parser) for part in parts]

    def messages(self, part: Part) -> Sequence[Message]:
        """The messages of a part; read again where it is from before a restart."""
        if part not in _held:
            _held[part] = self._reader.again(part)
        return _held[part]

    def unchanged(self, parts: Sequence[Part]) -> tuple[Part, ...]:
        return tuple(parts)

    def done(self, parts: Sequence[Part]) -> None:
        let_go(parts)
        offsets = [
            self._kafka.TopicPartition(self._topic, partition_of(part), part.stop) for part in parts
        ]
        with explained(self._log, self._connection):
            coordinated(lambda: self._consumer.commit(offsets=offsets, asynchronous=False))

    def needed(self, parts: Sequence[Part]) -> Sequence[Part]:
        """The last one of each partition: all before it is done."""
        return list({part.source: part for part in sorted(parts, key=lambda p: p.stop)}.values())

    def is_drained(self) -> bool:
        ends = self._ends.items()
        return not self._ahead and all(self._position(number) >= end for number, end in ends)

    def load(self) -> Load:
        held = [one for part, found in _held.items() if self._is_ours(part) for one in found]
        behind = 0
        for number, after in self._next.items():
            place = self._kafka.TopicPartition(self._topic, number)
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
            behind += max(0, high - after)
        queued, queued_bytes = self._queue
        return Load(
            behind,
            len(held),
            _bytes(held),
            queued + len(self._ahead),
            queued_bytes + _bytes(self._ahead),
        )

    def close(self) -> None:
        let_go(list(filter(self._is_ours, _held)))
        self._consumer.close()

    def _is_ours(self, part: Part) -> bool:
        return part.source.rpartition("/")[0] == self._log

    def _note_queue(self, said: str) -> None:
        topic = json.loads(said).get("topics", {}).get(self._topic, {"partitions": {}})
        parts = topic["partitions"].values()
        self._queue = (sum(p["fetchq_cnt"] for p in parts), sum(p["fetchq_size"] for p in parts))

    def _position(self, partition: int) -> int:
        one = self._consumer.position([self._kafka.TopicPartition(self._topic, partition)])[0]
        return max(
            self._next[partition], int(one.offset)
        )  # markers of transactions have offsets too

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


def _bytes(messages: Iterable[Message]) -> int:
    return sum(len(one.value or b"") for one in messages)
