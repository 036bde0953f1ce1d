"""Kafka on Flink: reading through Beam's Java source, and writing from Python workers."""

import typing
from collections.abc import Mapping
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.transforms.external import ExternalTransform, NamedTupleBasedPayloadBuilder
from apache_beam.typehints.decorators import no_annotations

from triad_ml.pipelines.scoring.score import Scores
from triad_ml.pipelines.streaming import losses
from triad_ml.pipelines.streaming.kafka.sink import KafkaSink
from triad_ml.pipelines.streaming.messages.parser import Message
from triad_ml.pipelines.tables.keys import Key
from triad_ml.transforms.records.values import Rejected, Scored

_URN = "beam:transform:org.apache.beam:kafka_read_with_metadata:v1"
_BYTES = "org.apache.kafka.common.serialization.ByteArrayDeserializer"
_NO_TIME = -1


class _Settings(typing.NamedTuple):
    """Configuration of Beam's Java source, with the fields of Beam 2.62.

    Beam's own `ReadFromKafka` also sends newer fields. Beam's schemas support `Optional`, but not
    yet `| None`.
    """

    consumer_config: Mapping[str, str]
    topics: list[str]
    key_deserializer: str
    value_deserializer: str
    start_read_time: typing.Optional[int]  # noqa: UP045
    max_num_records: typing.Optional[int]  # noqa: UP045
    max_read_time: typing.Optional[int]  # noqa: UP045
    commit_offset_in_finalize: bool
    timestamp_policy: str
    consumer_polling_timeout: typing.Optional[int]  # noqa: UP045
    redistribute: typing.Optional[bool]  # noqa: UP045
    redistribute_num_keys: typing.Optional[np.int32]  # noqa: UP045
    allow_duplicates: typing.Optional[bool]  # noqa: UP045


class ReadMessages(beam.PTransform):
    """Reads the messages of a Kafka topic, each at its time of sending.

    Without a checkpoint, reading begins at the group's committed offsets, or else at the topic's
    beginning. Offsets are committed with each checkpoint, and never before one.

    Args:
        servers: Address of the brokers, `HOST:PORT`.
        topic: Name of the topic.
        group: Consumer group whose offsets are committed.
        expansion_service: Address of the service that expands the Java source, `HOST:PORT`.
    """

    def __init__(self, servers: str, topic: str, group: str, expansion_service: str) -> None:
        super().__init__()
        self._log, self._topic, self._service = (
            f"kafka://{servers}/{topic}", topic, expansion_service
        )  # fmt: skip
        self._consumer = {
            "bootstrap.servers": servers,
            "group.id": group,
            "enable.auto.commit": "false",
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }

    def expand(self, root: beam.pvalue.PBegin) -> beam.PCollection[Message]:
        settings = _Settings(
            consumer_config=self._consumer,
            topics=[self._topic],
            key_deserializer=_BYTES,
            value_deserializer=_BYTES,
            start_read_time=None,
            max_num_records=None,
            max_read_time=None,
            commit_offset_in_finalize=True,
            timestamp_policy="CreateTime",
            consumer_polling_timeout=2,
            redistribute=False,
            redistribute_num_keys=np.int32(0),
            allow_duplicates=False,
        )
        read = ExternalTransform(_URN, NamedTupleBasedPayloadBuilder(settings), self._service)
        as_message = beam.Map(_message, self._log).with_output_types(Message)
        return root | "Kafka" >> read | "Message" >> as_message


@no_annotations
def _message(row: Any, log: str) -> Message:
    headers = tuple((header.key, header.value) for header in row.headers or ())
    sent = None if _NO_TIME in (row.timestampTypeId, row.timestamp) else row.timestamp
    return Message(log, row.topic, row.partition, row.offset, row.value, headers, sent)


class WriteRows(beam.PTransform):
    """Writes scores and rejected records to topics of Kafka.

    A bundle finishes, and a checkpoint completes, only once the brokers have all its rows.

    Args:
        sink: Sink with the topics.
    """

    def __init__(self, sink: KafkaSink) -> None:
        super().__init__()
        self._sink = sink

    @no_annotations
    def expand(self, scores: Scores) -> beam.PCollection[None]:
        rows = (scores.scored, scores.rejected) | "AllRows" >> beam.Flatten()
        return rows | "Send" >> beam.ParDo(_SendDoFn(self._sink)).with_output_types(type(None))


class _SendDoFn(beam.DoFn):
    def __init__(self, sink: KafkaSink) -> None:
        self._sink = sink

    def start_bundle(self) -> None:
        self._scored: list[Scored] = []
        self._rejected: list[Rejected] = []

    @no_annotations
    def process(self, row: tuple[Key, Scored | Rejected]) -> None:
        _, record = row
        if isinstance(record, Scored):
            self._scored.append(record)
        else:
            self._rejected.append(record)

    def finish_bundle(self) -> None:
        losses.count(*self._sink.write(0, "", self._scored, self._rejected))
