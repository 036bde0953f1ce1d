"""Messages that were rejected, read again where the rows of a topic of rejected records say."""

import dataclasses
import datetime
import hashlib
import json
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from triad_ml.pipelines.streaming.interfaces import Item, Load, Part
from triad_ml.pipelines.streaming.kafka.admin import TopicAdmin
from triad_ml.pipelines.streaming.kafka.source import KafkaSource, MessagesItem, hold, let_go
from triad_ml.pipelines.streaming.kafka.topic import Topic
from triad_ml.pipelines.streaming.messages.parser import Message, Parser
from triad_ml.pipelines.tables import rows as tables_rows

_log = logging.getLogger(__name__)

_EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)
_OFFSETS = 2**62  # no log ever has as many

GAP = 16
"""Messages between two wanted ones that are read over rather than sought."""


class Replay:
    """The messages of one topic that the rows of another name; a source like any other.

    Rejected rows hold where a message was, and never its payload. The parts are of rows; the
    records are those of the messages. What rows of a batch name twice is read once. Rows of other
    topics, of messages that the log no longer has, and of places where it has other messages now
    (see `Row.is_of`) are told and passed over: they stay in their topic.

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
        found = swapped = 0
        for part in runs(wanted):
            places = wanted[part.source]
            there = [one for one in self._originals.again(part) if one.offset in places]
            messages = [m for m in there if any(row.is_of(m) for row in places[m.offset])]
            found += len(there)
            swapped += len(there) - len(messages)
            hold(part, messages)
            self._held.append(part)
        gone = sum(map(len, wanted.values())) - found
        if others or gone or swapped:
            _log.warning(
                "%d rows name no message of %s, the messages of %d are gone, and where %d were are "
                "others, as in a topic that was made again: passed over",
                *(others, self._originals.log, gone, swapped),
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


class Row(NamedTuple):
    """What a row tells of the message that was rejected; None for what it does not tell.

    Attributes:
        time: When it was sent, in milliseconds since 1970.
        digest: SHA-256 of its value.
    """

    time: int | None
    digest: str | None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Reads a rejected record as JSON has it.

        Raises:
            ValueError: Or TypeError, where the time is none.
        """
        sent = fields.get(tables_rows.EVENT_TIME)
        at = None if sent is None else datetime.datetime.fromisoformat(sent)
        time = None if at is None else (at - _EPOCH) // datetime.timedelta(milliseconds=1)
        # Only what was refused in reading has the digest of the message, and not of its media.
        digest = fields.get("payload_digest") if fields.get("stage") == "read" else None
        return cls(time, digest or None)

    def is_of(self, message: Message) -> bool:
        """Whether the row can be that of a message which stands at its place now.

        A message of a log never changes. In a topic that was made again under the same name the
        place is that of another one.
        """
        if self.digest not in (None, hashlib.sha256(message.value or b"").hexdigest()):
            return False
        return self.time in (None, message.position.event_time)


def named(
    rows: Iterable[Message], log: str, partitions: Collection[int]
) -> tuple[dict[str, dict[int, set[Row]]], int]:
    """The rows by partition of a log and offset, and how many rows name no place in it.

    Args:
        rows: Messages with rejected records as JSON objects.
        log: `kafka://HOST:PORT/TOPIC`.
        partitions: Those that it has.
    """
    wanted: dict[str, dict[int, set[Row]]] = {}
    others = 0
    for row in rows:
        try:
            fields = json.loads(row.value or b"")
            place, _, offset = str(fields["source"]).rpartition("#")
            topic, _, partition = place.rpartition("/")
            number, at = int(partition), int(offset)
            if topic != log or number not in partitions or not 0 <= at < _OFFSETS:
                raise ValueError(place)
            told = Row.of(fields)
            wanted.setdefault(f"{log}/{number}", {}).setdefault(at, set()).add(told)
        except (ValueError, KeyError, TypeError, RecursionError):
            others += 1
    return wanted, others


def runs(wanted: Mapping[str, Iterable[int]]) -> list[Part]:
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
