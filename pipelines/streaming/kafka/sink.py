"""Scores and rejected records -> topics of Kafka, each under its record id and model digest."""

import dataclasses
import functools
import json
import logging
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from triad_ml.pipelines.streaming.interfaces import Written
from triad_ml.pipelines.streaming.kafka import properties
from triad_ml.pipelines.streaming.kafka.client import TIMEOUT, Connection, explained, load
from triad_ml.pipelines.streaming.rows import rejected_lines, scored_lines, shortened, too_large_row
from triad_ml.pipelines.tables.keys import key_of
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.errors import StorageError
from triad_ml.transforms.records.values import Rejected, Scored

_FLUSH_SECONDS = 120.0

_log = logging.getLogger(__name__)


class _Row(NamedTuple):
    """One message to send; a time of 0 is when the broker gets it."""

    key: bytes
    line: bytes
    time: int


@dataclasses.dataclass(frozen=True)
class KafkaSink:
    """JSON objects as in JSONL files, each with its own passthrough values alone.

    A compacted topic keeps one for each key. A row that is larger than the client's
    `message.max.bytes`, or than the topic's `max.message.bytes`, is rejected, not sent. A rejected
    row that is too large loses its detail.

    Attributes:
        servers: `HOST:PORT`.
        topic: For scores.
        rejected_servers: As `servers`.
        rejected_topic: For rejected records.
        settings: What all rows have in common.
        config_file: With properties of the client, see `kafka_properties`. It is read where rows
            are sent, so that no secret crosses steps.
    """

    servers: str
    topic: str
    rejected_servers: str
    rejected_topic: str
    settings: ScoreSchema
    config_file: str | None = None

    def __post_init__(self) -> None:
        properties.read(self.config_file)  # a broken one is told before the first batch

    def write(
        self, number: int, digest: str, scored: Sequence[Scored], rejected: Sequence[Rejected]
    ) -> Written:
        """Sends all rows and returns once the brokers have them.

        Raises:
            StorageError: Where one was not taken.
        """
        del number, digest
        order = sorted(scored, key=_order)
        rows = self._rows(order, scored_lines(order, self.settings))
        left = set(_sent(_Topic(self.servers, self.topic, self.config_file), rows))
        too_large = [too_large_row(order[place], len(rows[place].line)) for place in sorted(left)]
        refused = sorted([*rejected, *too_large], key=_order)
        self._write_rejected(refused)
        return Written([row for place, row in enumerate(order) if place not in left], refused)

    def _write_rejected(self, refused: Sequence[Rejected]) -> None:
        topic = _Topic(self.rejected_servers, self.rejected_topic, self.config_file)
        left = _sent(topic, self._rows(refused, rejected_lines(refused, self.settings)))
        if not left:
            return
        cut = [shortened(refused[place]) for place in left]
        rows = self._rows(cut, rejected_lines(cut, self.settings))
        for place in _sent(topic, rows):
            raise StorageError(
                f"{topic.place}: does not take the rejected row of {cut[place].position}, of "
                f"{len(rows[place].line)} bytes; raise its max.message.bytes (and the client's "
                "message.max.bytes), then run again: nothing is lost"
            )

    def _rows(self, records: Sequence[Scored | Rejected], lines: Sequence[bytes]) -> list[_Row]:
        model = self.settings.provenance.model
        return [
            _Row(
                json.dumps(key_of(record, model)).encode(),
                line,
                max(0, record.position.event_time or 0),
            )
            for record, line in zip(records, lines, strict=True)
        ]


@dataclasses.dataclass(frozen=True)
class _Topic:
    """Where rows are sent to."""

    servers: str
    name: str
    config_file: str | None

    @property
    def place(self) -> str:
        return f"kafka://{self.servers}/{self.name}"

    def send(self, rows: Sequence[_Row]) -> dict[int, Any]:
        """Sends rows and waits; gives the errors of those that were refused for what they are.

        A broker refuses a whole batch of the client's for one message in it.

        Raises:
            StorageError: Any other error, of any row.
        """
        kafka = load().KafkaError
        refusals = {
            kafka.MSG_SIZE_TOO_LARGE,
            kafka.INVALID_TIMESTAMP,
            kafka.INVALID_RECORD,
            kafka._INVALID_DIFFERENT_RECORD,
        }
        failed: dict[int, Any] = {}

        def told(error: Any, _: Any, place: int) -> None:
            if error is not None:
                failed[place] = error

        connection = _connection(self.servers, self.config_file)
        with explained(self.place, connection):
            patience = _Patience(self.place, connection)
            for place, row in enumerate(rows):
                delivered = functools.partial(told, place=place)
                while True:
                    try:
                        connection.client.produce(
                            self.name, row.line, row.key, on_delivery=delivered, timestamp=row.time
                        )
                        break
                    except BufferError:  # the client's queue is full
                        patience.wait(1)
                    except load().KafkaException as refused:
                        failed[place] = refused.args[0]
                        break
            while len(connection.client):
                patience.wait(TIMEOUT)
        for error in failed.values():
            if error.code() not in refusals:
                raise StorageError(
                    f"{self.place}: {error.str()}; check the broker and the topic, then run again"
                )
        return failed


class _Patience:
    """Waits for the broker to take messages, tells that it does not, and gives up in the end."""

    def __init__(self, place: str, connection: Connection) -> None:
        self._place, self._connection = place, connection
        self._until = time.monotonic() + _FLUSH_SECONDS
        self._said = False

    def wait(self, seconds: float) -> None:
        """Waits up to some seconds for what was sent.

        Raises:
            StorageError: Where it was not taken in time.
        """
        left = self._connection.client.flush(seconds)
        if not left:
            return
        why = self._connection.told() or "it does not answer"
        if time.monotonic() > self._until:
            raise StorageError(
                f"{self._place}: {left} messages were not taken in {_FLUSH_SECONDS:.0f} s: {why}; "
                "check the broker and the topic, then run again"
            )
        if not self._said and seconds >= TIMEOUT:
            self._said = True
            _log.warning("%s: %d messages are not taken yet: %s", self._place, left, why)


def _sent(topic: _Topic, rows: Sequence[_Row]) -> list[int]:
    """Sends rows; gives the places of those that are too large, each on its own, for the topic."""
    return _sent_of(topic, rows, range(len(rows)))


def _sent_of(topic: _Topic, rows: Sequence[_Row], places: Sequence[int]) -> list[int]:
    failed = topic.send([rows[place] for place in places])
    if not failed:
        return []
    if len(places) > 1:
        # Which of them it was is found by halves. Later rows of a refused row's key come again,
        # too, so that the last one of a key stays the last.
        keys = {rows[places[number]].key for number in failed}
        again = [place for place in places[min(failed) :] if rows[place].key in keys]
        half = (len(again) + 1) // 2
        return [one for part in (again[:half], again[half:]) for one in _sent_of(topic, rows, part)]
    (error,), (place,) = failed.values(), places
    errors = load().KafkaError
    if error.code() == errors.MSG_SIZE_TOO_LARGE:
        return [place]
    row = rows[place]
    if error.code() == errors.INVALID_TIMESTAMP and row.time:
        topic_time = [row._replace(time=0)]  # the row holds the time of its event anyway
        return [place for _ in _sent(topic, topic_time)]
    raise StorageError(f"{topic.place}: {error.str()}; see to the topic's settings, then run again")


def _order(row: Scored | Rejected) -> tuple[str, int]:
    return row.position.uri, row.position.offset


@functools.cache
def _connection(servers: str, config_file: str | None) -> Connection:
    """One for each process: it holds connections and a thread."""
    settings = {"acks": "all", "enable.idempotence": True}
    return Connection("Producer", servers, settings, config_file)
