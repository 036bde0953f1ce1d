"""Sink of scores and rejected records in topics of Kafka, keyed by record id and model digest."""

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
    """Message to send; a time of 0 stands for the time at which the broker receives it."""

    key: bytes
    line: bytes
    time: int


@dataclasses.dataclass(frozen=True)
class KafkaSink:
    """Sink that sends rows as JSON objects, each with only the record's own passthrough values.

    A compacted topic keeps one row for each key. A score whose row is larger than the client's
    `message.max.bytes` or the topic's `max.message.bytes` becomes a rejected record. If a rejected
    row is too large, its detail is cut.

    Attributes:
        servers: Address of the brokers for scores, `HOST:PORT`.
        topic: Topic for scores.
        rejected_servers: Address of the brokers for rejected records, `HOST:PORT`.
        rejected_topic: Topic for rejected records.
        settings: Common properties of all rows.
        config_file: File with properties of the client, see `properties.read`. It is read on the
            worker that sends rows, so that no secret is serialized with a step.
    """

    servers: str
    topic: str
    rejected_servers: str
    rejected_topic: str
    settings: ScoreSchema
    config_file: str | None = None

    def __post_init__(self) -> None:
        properties.read(self.config_file)  # reports a bad file before the first batch

    def write(
        self, number: int, digest: str, scored: Sequence[Scored], rejected: Sequence[Rejected]
    ) -> Written:
        """Sends all rows and returns once the brokers have them.

        Raises:
            StorageError: If a row was not accepted.
        """
        del number, digest
        order = sorted(scored, key=_order)
        rows = self._rows(order, scored_lines(order, self.settings))
        left = set(_send(_Topic(self.servers, self.topic, self.config_file), rows))
        too_large = [too_large_row(order[index], len(rows[index].line)) for index in sorted(left)]
        refused = sorted([*rejected, *too_large], key=_order)
        self._write_rejected(refused)
        return Written([row for index, row in enumerate(order) if index not in left], refused)

    def _write_rejected(self, refused: Sequence[Rejected]) -> None:
        topic = _Topic(self.rejected_servers, self.rejected_topic, self.config_file)
        left = _send(topic, self._rows(refused, rejected_lines(refused, self.settings)))
        if not left:
            return
        cut = [shortened(refused[index]) for index in left]
        rows = self._rows(cut, rejected_lines(cut, self.settings))
        for index in _send(topic, rows):
            raise StorageError(
                f"{topic.place}: does not take the rejected row of {cut[index].position}, of "
                f"{len(rows[index].line)} bytes; raise its max.message.bytes (and the client's "
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
    """Topic to which rows are sent."""

    servers: str
    name: str
    config_file: str | None

    @property
    def place(self) -> str:
        return f"kafka://{self.servers}/{self.name}"

    def send(self, rows: Sequence[_Row]) -> dict[int, Any]:
        """Sends rows, waits for their delivery, and returns the errors of refused rows by index.

        A row is refused for its size, time or content. A broker refuses a whole batch of the client
        for one such message in it.

        Raises:
            StorageError: For any other error of any row.
        """
        kafka = load().KafkaError
        refusals = {
            kafka.MSG_SIZE_TOO_LARGE,
            kafka.INVALID_TIMESTAMP,
            kafka.INVALID_RECORD,
            kafka._INVALID_DIFFERENT_RECORD,
        }
        failed: dict[int, Any] = {}

        def on_delivery(error: Any, _: Any, index: int) -> None:
            if error is not None:
                failed[index] = error

        connection = _connection(self.servers, self.config_file)
        with explained(self.place, connection):
            patience = _Patience(self.place, connection)
            for index, row in enumerate(rows):
                delivered = functools.partial(on_delivery, index=index)
                while True:
                    try:
                        connection.client.produce(
                            self.name, row.line, row.key, on_delivery=delivered, timestamp=row.time
                        )
                        break
                    except BufferError:  # the client's queue is full
                        patience.wait(1)
                    except load().KafkaException as refused:
                        failed[index] = refused.args[0]
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
    """Wait for the broker to accept messages: warns if it takes long, and fails in the end."""

    def __init__(self, place: str, connection: Connection) -> None:
        self._place, self._connection = place, connection
        self._until = time.monotonic() + _FLUSH_SECONDS
        self._said = False

    def wait(self, seconds: float) -> None:
        """Waits up to some seconds for the delivery of all sent messages.

        Raises:
            StorageError: If they were not accepted within `_FLUSH_SECONDS` of this object's
                creation.
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


def _send(topic: _Topic, rows: Sequence[_Row]) -> list[int]:
    """Sends rows; returns the indices of those that are too large for the topic even alone."""
    return _send_some(topic, rows, range(len(rows)))


def _send_some(topic: _Topic, rows: Sequence[_Row], indices: Sequence[int]) -> list[int]:
    failed = topic.send([rows[index] for index in indices])
    if not failed:
        return []
    if len(indices) > 1:
        # Bisection finds the refused rows. Later rows of a refused row's key are sent again too, so
        # that the last row of a key stays the last.
        keys = {rows[indices[number]].key for number in failed}
        again = [index for index in indices[min(failed) :] if rows[index].key in keys]
        half = (len(again) + 1) // 2
        halves = (again[:half], again[half:])
        return [index for part in halves for index in _send_some(topic, rows, part)]
    (error,), (index,) = failed.values(), indices
    errors = load().KafkaError
    if error.code() == errors.MSG_SIZE_TOO_LARGE:
        return [index]
    row = rows[index]
    if error.code() == errors.INVALID_TIMESTAMP and row.time:
        topic_time = [row._replace(time=0)]  # the row's own column still holds the event time
        return [index for _ in _send(topic, topic_time)]
    raise StorageError(f"{topic.place}: {error.str()}; see to the topic's settings, then run again")


def _order(row: Scored | Rejected) -> tuple[str, int]:
    return row.position.uri, row.position.offset


@functools.cache
def _connection(servers: str, config_file: str | None) -> Connection:
    """Returns the process's only producer for these brokers: it has sockets and a thread."""
    settings = {"acks": "all", "enable.idempotence": True}
    return Connection("Producer", servers, settings, config_file)
