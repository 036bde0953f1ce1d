"""A topic of Kafka: messages by ranges of offsets, committed once their output is durable."""

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

_STATISTICS = 1000  # milliseconds between what the client says of its queue

_log = logging.getLogger(__name__)

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
    is later; else at the beginning of the topic. Both name the topic by its id, see `Reader`.

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
            messages = [one for one in messages if one.offset < ends[one.partition]]
        odd = [one for one in messages if one.has_odd_time]
        if odd:
            _log.warning(
                "%s: its time is of no year from 1 to 9999, as that of %d messages of this batch: "
                "their rows have none",
                *(odd[0].position, len(odd)),
            )
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
            _held[part] = self._topic.again(part)
        return _held[part]

    def unchanged(self, parts: Sequence[Part]) -> tuple[Part, ...]:
        return tuple(filter(self._reader.is_of_this_topic, parts))

    def done(self, parts: Sequence[Part]) -> None:
        let_go(parts)
        self._reader.commit(parts)

    def needed(self, parts: Sequence[Part]) -> Sequence[Part]:
        """The last one of each partition: all before it is done."""
        return list({part.source: part for part in parts}.values())

    def is_drained(self) -> bool:
        return self._reader.is_drained()

    def load(self) -> Load:
        held = [one for part, found in _held.items() if self._is_ours(part) for one in found]
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

    def _note_statistics(self, said: str) -> None:
        topic = json.loads(said).get("topics", {}).get(self._topic.topic, {"partitions": {}})
        parts = [one for one in topic["partitions"].values() if one["partition"] >= 0]
        self._queue = (sum(p["fetchq_cnt"] for p in parts), sum(p["fetchq_size"] for p in parts))
        self._held_back = {p["partition"]: p["hi_offset"] - p["ls_offset"] for p in parts}

    def _parts(self, messages: Sequence[Message]) -> dict[Part, list[Message]]:
        by_partition: dict[int, list[Message]] = collections.defaultdict(list)
        for one in messages:
            by_partition[one.partition].append(one)
        found = {}
        for partition, run in sorted(by_partition.items()):
            start, stop = self._reader.next[partition], run[-1].offset + 1
            self._reader.next[partition] = stop
            part = Part(f"{self._log}/{partition}", start, stop, self._reader.topic_id)
            found[part] = run
        return found


def _bytes(messages: Iterable[Message]) -> int:
    return sum(len(one.value or b"") for one in messages)
