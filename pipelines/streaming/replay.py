"""Messages that were rejected, read again where the rows of a topic of rejected records say."""

import collections
import dataclasses
import json
import logging
from collections.abc import Collection, Iterable, Sequence

from pipelines.streaming.batches import Item, Load, Part
from pipelines.streaming.kafka_admin import TopicAdmin
from pipelines.streaming.kafka_source import KafkaSource, MessagesItem, hold, let_go
from pipelines.streaming.kafka_topic import Topic
from pipelines.streaming.messages import Message, Parser

_log = logging.getLogger(__name__)

_OFFSETS = 2**62  # no log ever has as many

GAP = 16
"""Messages between two wanted ones that are read over rather than sought."""


class Replay:
    """The messages of one topic that the rows of another name; a source like any other.

    Rejected rows hold where a message was, and never its payload. The parts are of rows; the
    records are those of the messages. What rows of a batch name twice is read once. Rows of other
    topics, and of messages that the log no longer has, are told and passed over: they stay in their
    topic.

    Args:
        rows: The topic of rejected rows, up to the end that it had at the start.
        originals: The topic whose messages were rejected.
        parser: Makes records of the messages.

    Raises:
        OptionsError: Where there is no topic of the originals.
        StorageError: Where no broker answers.
    """

    pause = 0.0

    def __init__(self, rows: KafkaSource, originals: Topic, parser: Parser) -> None:
        self._rows, self._originals, self._parser = rows, originals, parser
        admin = TopicAdmin(originals.servers, originals.topic, originals.config_file)
        self._partitions = admin.about().partitions
        self._held: list[Part] = []

    def poll(self) -> tuple[Part, ...]:
        return self._rows.poll()

    def items(self, parts: Sequence[Part], labels: Sequence[str]) -> Sequence[Item]:
        self._let_go()
        rows = [row for part in parts for row in self._rows.messages(part)]
        wanted, others = named(rows, self._originals.log, self._partitions)
        found = 0
        for part in runs(wanted):
            offsets = wanted[part.source]
            messages = [one for one in self._originals.again(part) if one.offset in offsets]
            found += len(messages)
            hold(part, messages)
            self._held.append(part)
        gone = sum(map(len, wanted.values())) - found
        if others or gone:
            _log.warning(
                "%d rows name no message of %s, and the messages of %d are gone: passed over",
                *(others, self._originals.log, gone),
            )
        parser = dataclasses.replace(self._parser, labels=tuple(labels))
        return [MessagesItem(part, parser) for part in self._held]

    def unchanged(self, parts: Sequence[Part]) -> tuple[Part, ...]:
        return self._rows.unchanged(parts)

    def done(self, parts: Sequence[Part]) -> None:
        self._let_go()
        self._rows.done(parts)

    def needed(self, parts: Sequence[Part]) -> Sequence[Part]:
        return self._rows.needed(parts)

    def is_drained(self) -> bool:
        return self._rows.is_drained()

    def load(self) -> Load:
        return self._rows.load()

    def close(self) -> None:
        self._let_go()
        self._rows.close()

    def _let_go(self) -> None:
        let_go(self._held)
        self._held = []


def named(
    rows: Iterable[Message], log: str, partitions: Collection[int]
) -> tuple[dict[str, set[int]], int]:
    """The offsets that rows name, by partition of a log, and how many rows name none of it.

    Args:
        rows: Messages with rejected records as JSON objects.
        log: `kafka://HOST:PORT/TOPIC`.
        partitions: Those that it has.
    """
    wanted: dict[str, set[int]] = collections.defaultdict(set)
    others = 0
    for row in rows:
        try:
            place, _, offset = str(json.loads(row.value or b"")["source"]).rpartition("#")
            topic, _, partition = place.rpartition("/")
            number, at = int(partition), int(offset)
            if topic != log or number not in partitions or not 0 <= at < _OFFSETS:
                raise ValueError(place)
            wanted[f"{log}/{number}"].add(at)
        except (ValueError, KeyError, TypeError, RecursionError):
            others += 1
    return dict(wanted), others


def runs(wanted: dict[str, set[int]]) -> list[Part]:
    """Ranges of a log that hold all wanted offsets, and few others."""
    found: list[Part] = []
    for source, offsets in sorted(wanted.items()):
        for offset in sorted(offsets):
            last = found[-1] if found else None
            if last is not None and last.source == source and offset - last.stop <= GAP:
                found[-1] = dataclasses.replace(last, stop=offset + 1)
            else:
                found.append(Part(source, offset, offset + 1))
    return found
