"""Scores and rejected records -> topics of Kafka, each under its record id and model digest."""

import dataclasses
import functools
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from pipelines import sinks
from pipelines.keyed import key_of
from pipelines.runs import RunSettings
from pipelines.streaming.file_sink import rejected_table, scored_table
from pipelines.streaming.kafka_client import explained, load
from transforms.errors import StorageError
from transforms.records import Rejected, Scored

_FLUSH_SECONDS = 120.0


@dataclasses.dataclass(frozen=True)
class KafkaSink:
    """JSON objects as in JSONL files; a compacted topic keeps one for each key.

    Attributes:
        servers: `HOST:PORT`.
        topic: For scores.
        rejected_servers: As `servers`.
        rejected_topic: For rejected records.
        settings: What all rows have in common.
    """

    servers: str
    topic: str
    rejected_servers: str
    rejected_topic: str
    settings: RunSettings

    def write(
        self, number: int, digest: str, scored: Sequence[Scored], rejected: Sequence[Rejected]
    ) -> None:
        """Sends all rows and returns once the brokers have them.

        Raises:
            StorageError: Where one was not taken.
        """
        del number, digest
        order = sorted(scored, key=_order)
        self._send(self.servers, self.topic, order, scored_table(order, self.settings))
        refused = sorted(rejected, key=_order)
        table = rejected_table(refused, self.settings)
        self._send(self.rejected_servers, self.rejected_topic, refused, table)

    def _send(
        self, servers: str, topic: str, rows: Sequence[Scored | Rejected], table: pa.Table
    ) -> None:
        place = f"kafka://{servers}/{topic}"
        failed: list[str] = []

        def told(error: Any, _: Any) -> None:
            if error is not None:
                failed.append(error.str())

        lines = sinks.encode(table, "jsonl").split(b"\n")[:-1]
        producer = _producer(servers)
        with explained(place):
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
            left = producer.flush(_FLUSH_SECONDS)
        if failed or left:
            why = failed[0] if failed else f"{left} messages were not taken in time"
            raise StorageError(f"{place}: {why}; check the broker and the topic, then run again")


def _order(row: Scored | Rejected) -> tuple[str, int]:
    return row.position.uri, row.position.offset


@functools.cache
def _producer(servers: str) -> Any:
    """One for each process: it holds connections and a thread."""
    return load().Producer(
        {"bootstrap.servers": servers, "acks": "all", "enable.idempotence": True}
    )
