"""Scores and rejected records -> topics of Kafka, each under its record id and model digest."""

import dataclasses
import functools
import json
from collections.abc import Sequence
from typing import Any

from apache_beam.metrics import Metrics

from pipelines.keyed import key_of
from pipelines.runs import RunSettings
from pipelines.streaming import kafka_properties
from pipelines.streaming.file_sink import rejected_lines, scored_lines
from pipelines.streaming.kafka_client import Connection, explained, load
from transforms.errors import StorageError
from transforms.records import Reason, Rejected, Scored

_FLUSH_SECONDS = 120.0


@dataclasses.dataclass(frozen=True)
class KafkaSink:
    """JSON objects as in JSONL files, each with its own passthrough values alone.

    A compacted topic keeps one for each key. A row that is larger than the client's
    `message.max.bytes` is rejected, not sent.

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
    settings: RunSettings
    config_file: str | None = None

    def __post_init__(self) -> None:
        kafka_properties.read(self.config_file)  # a broken one is told before the first batch

    def write(
        self, number: int, digest: str, scored: Sequence[Scored], rejected: Sequence[Rejected]
    ) -> None:
        """Sends all rows and returns once the brokers have them.

        Raises:
            StorageError: Where one was not taken.
        """
        del number, digest
        order = sorted(scored, key=_order)
        lines = scored_lines(order, self.settings)
        too_large = self._send(self.servers, self.topic, order, lines)
        counter = Metrics.counter
        counter("Stream", "scored").dec(len(too_large))
        counter("Stream", "rejected").inc(len(too_large))
        refused = sorted([*rejected, *too_large], key=_order)
        lines = rejected_lines(refused, self.settings)
        self._send(self.rejected_servers, self.rejected_topic, refused, lines)

    def _send(
        self, servers: str, topic: str, rows: Sequence[Scored | Rejected], lines: Sequence[bytes]
    ) -> list[Rejected]:
        """Sends rows; gives those that are too large."""
        place = f"kafka://{servers}/{topic}"
        failed: list[str] = []
        too_large: list[Rejected] = []

        def told(error: Any, _: Any) -> None:
            if error is not None:
                failed.append(error.str())

        connection = _connection(servers, self.config_file)
        producer = connection.client
        with explained(place, connection):
            for row, line in zip(rows, lines, strict=True):
                key = json.dumps(key_of(row, self.settings.provenance.model)).encode()
                time = row.position.event_time
                while True:
                    try:
                        producer.produce(
                            topic, line, key, on_delivery=told, timestamp=max(0, time or 0)
                        )
                        break
                    except BufferError:  # the client's queue is full
                        producer.poll(1)
                    except load().KafkaException as error:
                        if error.args[0].code() != load().KafkaError.MSG_SIZE_TOO_LARGE:
                            raise
                        too_large.append(_too_large(row, len(line)))
                        break
            left = producer.flush(_FLUSH_SECONDS)
        if failed or left:
            why = failed[0] if failed else f"{left} messages were not taken in time"
            why = connection.told() or why
            raise StorageError(f"{place}: {why}; check the broker and the topic, then run again")
        return too_large


def _too_large(row: Scored | Rejected, size: int) -> Rejected:
    detail = f"its row has {size} bytes"
    refused = (row.id, row.position, "publish", Reason.TOO_LARGE, detail)
    return Rejected(*refused, model_digest=row.model_digest)


def _order(row: Scored | Rejected) -> tuple[str, int]:
    return row.position.uri, row.position.offset


@functools.cache
def _connection(servers: str, config_file: str | None) -> Connection:
    """One for each process: it holds connections and a thread."""
    settings = {"acks": "all", "enable.idempotence": True}
    return Connection("Producer", servers, settings, config_file)
