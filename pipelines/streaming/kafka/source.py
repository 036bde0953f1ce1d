"""Source of a Kafka topic: ranges of offsets, committed once their output is durable."""

import collections
import dataclasses
import json
import logging
import math
import time
from collections.abc import Iterable, Iterator, Sequence

from triad_ml.pipelines.streaming.interfaces import Item, Load, Part
from triad_ml.pipelines.streaming.kafka.reader import Reader
from triad_ml.pipelines.streaming.kafka.topic import AT_ONCE, STEP, Topic
from triad_ml.pipelines.streaming.messages.parser import Message, Parser
from triad_ml.transforms.records.values import RawRecord, Rejected

BATCH_BYTES = 64 * 2**20

_STATISTICS = 1000  # milliseconds between the client's reports of its queue

_log = logging.getLogger(__name__)

_held: dict[Part, list[Message]] = {}
"""Messages that are fetched and not done, by part. Pipelines run in this process and read them
here, since Beam would copy, compress and hold every message that is passed into a pipeline."""


@dataclasses.dataclass(frozen=True)
class MessagesItem:
    """Reader of the messages of a part, which this process holds."""

    part: Part
    parser: Parser

    def read(self) -> Iterator[RawRecord | Rejected]:
        """Yields one raw or rejected record for each message."""
        return map(self.parser.parse, _held[self.part])


def hold(part: Part, messages: Sequence[Message]) -> None:
    """Holds the messages of a part in this process, where its item reads them."""
    _held[part] = list(messages)


def let_go(parts: Iterable[Part]) -> None:
    """Releases the messages of parts."""
    for part in parts:
        _held.pop(part, None)


class KafkaSource:
    """Source that reads all partitions of one topic; a group has one such process.

    It begins at the group's committed offsets or after the journal's parts, whichever is later;
    else at the beginning of the topic. Both record the topic's id, see `Reader`.

    Args:
        servers: Address of the brokers, `HOST:PORT`.
        topic: Name of the topic.
        group: Consumer group whose offsets are committed.
        parser: Parser of messages.
        batch_records: Largest number of messages in a batch.
        seconds: Time in seconds that a batch waits to be filled, from its first message on. For
            messages that arrived during the previous batch it counts from that batch's delivery.
        given: Parts that were delivered before.
        config_file: File with properties of the client, see `properties.read`.
        batch_bytes: Size in bytes at which a batch is full; also the limit of what is fetched
            ahead.
        only_there: True to leave messages that arrive after the start to a later start.

    Raises:
        OptionsError: If the topic does not exist, or the file cannot be used.
        StorageError: If no broker answers.
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
        self._log, self._parser = f"kafka://{servers}/{topic}", parser
        self._batch_records, self._batch_bytes = batch_records, batch_bytes
        self._seconds, self._only_there = seconds, only_there
        self._queue, self._held_back = (0, 0), dict[int, int]()
        self._given_out = -math.inf
        settings = {
            "queued.max.messages.kbytes": max(1, batch_bytes // 1024),
            "statistics.interval.ms": _STATISTICS,
            "stats_cb": self._note_statistics,
        }
        self._topic = Topic(servers, topic, group, config_file)
        self._reader = Reader(self._topic, given, settings)

    def poll(self) -> tuple[Part, ...]:
        self._reader.look(take_up=not self._only_there)
        ahead, fetch = self._reader.ahead, self._reader.fetch
        messages: list[Message] = []
        size = 0
        if not ahead:
            fetch(AT_ONCE, 0)
        until = self._given_out + self._seconds if ahead else math.inf
        while len(messages) < self._batch_records and size < self._batch_bytes:
            if not ahead:
                left = min(STEP, max(0.0, until - time.monotonic()))
                fetch(AT_ONCE if messages else 1, left)
            if not ahead:
                if not messages or time.monotonic() >= until:
                    break
                continue
            until = min(until, time.monotonic() + self._seconds)
            messages.append(ahead.popleft())
            size += len(messages[-1].value or b"")
        if self._only_there:
            ends = self._reader.ends
            messages = [m for m in messages if m.offset < ends[m.partition]]
        odd = [message for message in messages if message.has_odd_time]
        if odd:
            _log.warning(
                "%s: its time is of no year from 1 to 9999, as that of %d messages of this batch: "
                "their rows have none",
                *(odd[0].position, len(odd)),
            )
        parts = self._parts(messages)
        _held.update(parts)
        self._given_out = time.monotonic()
        return tuple(parts)

    def items(self, parts: Sequence[Part], labels: Sequence[str]) -> Sequence[Item]:
        parser = dataclasses.replace(self._parser, labels=tuple(labels))
        for part in parts:
            self.messages(part)
        return [MessagesItem(part, parser) for part in parts]

    def messages(self, part: Part) -> Sequence[Message]:
        """Returns the messages of a part; reads them again if it is from before a restart."""
        if part not in _held:
            _held[part] = self._topic.again(part)
        return _held[part]

    def unchanged(self, parts: Sequence[Part]) -> tuple[Part, ...]:
        return tuple(filter(self._reader.is_of_this_topic, parts))

    def done(self, parts: Sequence[Part]) -> None:
        let_go(parts)
        self._reader.commit(parts)

    def needed(self, parts: Sequence[Part]) -> Sequence[Part]:
        """Returns the last part of each partition: everything before it is done."""
        return list({part.source: part for part in parts}.values())

    def is_drained(self) -> bool:
        return self._reader.is_drained()

    def load(self) -> Load:
        held = [message for part in filter(self._is_ours, _held) for message in _held[part]]
        queued, queued_bytes = self._queue
        return Load(
            self._reader.behind(self._held_back),
            len(held),
            _bytes(held),
            queued + len(self._reader.ahead),
            queued_bytes + _bytes(self._reader.ahead),
            sum(self._held_back.values()),
        )

    def close(self) -> None:
        let_go(list(filter(self._is_ours, _held)))
        self._reader.close()

    def _is_ours(self, part: Part) -> bool:
        return part.source.rpartition("/")[0] == self._log

    def _note_statistics(self, statistics: str) -> None:
        topic = json.loads(statistics).get("topics", {}).get(self._topic.topic, {"partitions": {}})
        parts = [p for p in topic["partitions"].values() if p["partition"] >= 0]
        self._queue = (sum(p["fetchq_cnt"] for p in parts), sum(p["fetchq_size"] for p in parts))
        self._held_back = {p["partition"]: p["hi_offset"] - p["ls_offset"] for p in parts}

    def _parts(self, messages: Sequence[Message]) -> dict[Part, list[Message]]:
        by_partition: dict[int, list[Message]] = collections.defaultdict(list)
        for message in messages:
            by_partition[message.partition].append(message)
        parts = {}
        for partition, run in sorted(by_partition.items()):
            start, stop = self._reader.next[partition], run[-1].offset + 1
            self._reader.next[partition] = stop
            part = Part(f"{self._log}/{partition}", start, stop, self._reader.topic_id)
            parts[part] = run
        return parts


def _bytes(messages: Iterable[Message]) -> int:
    return sum(len(message.value or b"") for message in messages)
