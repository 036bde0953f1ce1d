"""Source of rejected messages: reads again the messages that the rows of a topic name."""

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
_OFFSETS = 2**62  # more than any log has

GAP = 16
"""Most messages between two wanted ones that are read and skipped instead of a seek."""


class Replay:
    """Source of those messages of one topic that the rejected rows of another topic name.

    Rejected rows hold a message's position, never its payload. So the parts are ranges of rows, and
    the records are parsed from the original messages. A message that several rows of a batch name
    is read once. The log reports, and the replay skips, rows of other topics, rows of messages that
    the log no longer has, and rows at whose position there is another message now (see
    `Row.is_of`). These rows stay in their topic.

    Args:
        rows: Source of the rejected rows, up to the end that their topic had at the start.
        originals: Topic whose messages were rejected.
        parser: Parser of the messages.

    Raises:
        OptionsError: If the topic of the originals does not exist.
        StorageError: If no broker answers.
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
            read = [m for m in self._originals.again(part) if m.offset in places]
            messages = [m for m in read if any(row.is_of(m) for row in places[m.offset])]
            found += len(read)
            swapped += len(read) - len(messages)
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
    """Properties of a rejected message that its row holds; each is None if the row lacks it.

    Attributes:
        time: Time of sending, in milliseconds since 1970.
        digest: SHA-256 of the message's value, in hexadecimal.
    """

    time: int | None
    digest: str | None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Reads the parsed JSON of a rejected row.

        Raises:
            ValueError: If the time is no ISO 8601 string.
            TypeError: If the time is no string.
        """
        sent = fields.get(tables_rows.EVENT_TIME)
        at = None if sent is None else datetime.datetime.fromisoformat(sent)
        time = None if at is None else (at - _EPOCH) // datetime.timedelta(milliseconds=1)
        # Only rows of stage `read` hold the digest of the message; others hold that of its media.
        digest = fields.get("payload_digest") if fields.get("stage") == "read" else None
        return cls(time, digest or None)

    def is_of(self, message: Message) -> bool:
        """Returns False if the row belongs to another message than the one now at its position.

        A message in a log never changes, but in a topic that was created again under the same name
        the position holds another message.
        """
        if self.digest not in (None, hashlib.sha256(message.value or b"").hexdigest()):
            return False
        return self.time in (None, message.position.event_time)


def named(
    rows: Iterable[Message], log: str, partitions: Collection[int]
) -> tuple[dict[str, dict[int, set[Row]]], int]:
    """Groups rejected rows by partition and offset of the original message.

    Args:
        rows: Messages with rejected records as JSON objects.
        log: Address of the originals' topic, `kafka://HOST:PORT/TOPIC`.
        partitions: Numbers of that topic's partitions.

    Returns:
        Rows by partition (`kafka://HOST:PORT/TOPIC/N`) and offset, and the number of rows that name
        no position in the topic.
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
            wanted.setdefault(f"{log}/{number}", {}).setdefault(at, set()).add(Row.of(fields))
        except (ValueError, KeyError, TypeError, RecursionError):
            others += 1
    return wanted, others


def runs(wanted: Mapping[str, Iterable[int]]) -> list[Part]:
    """Returns ranges of offsets that contain all wanted offsets, by partition, and few others."""
    ranges: list[Part] = []
    for source, offsets in sorted(wanted.items()):
        for offset in sorted(offsets):
            last = ranges[-1] if ranges else None
            if last is not None and last.source == source and offset - last.stop <= GAP:
                ranges[-1] = dataclasses.replace(last, stop=offset + 1)
            else:
                ranges.append(Part(source, offset, offset + 1))
    return ranges
