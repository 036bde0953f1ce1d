"""Formats, headers, ids and size limits of messages, through a real Kafka broker."""

import collections
import io
import json
from pathlib import Path
from typing import Any

import fastavro
from tensorflow.core.example import example_pb2

from tests import kafka, media
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.jobs import local, stopping

AVRO = {
    "type": "record",
    "name": "Clip",
    "fields": [{"name": "id", "type": "string"}, {"name": "text", "type": "string"}],
}


class StopOnceCommitted(stopping.Stop):
    """Asks a stream to end once it has committed offsets."""

    def __init__(self, topics: "Topics") -> None:
        super().__init__()
        self._committed = topics.committed

    def is_set(self) -> bool:
        return max(self._committed()) > 0


class Topics:
    """A source topic, and topics for what becomes of it."""

    def __init__(self, broker: kafka.Broker, partitions: int = 1, **config: str) -> None:
        self.broker, self.partitions = broker, partitions
        self.source = broker.topic(partitions, **config)
        self.scores, self.rejected = broker.topic(), broker.topic()

    def run(self, model: Path, stop: stopping.Stop | None = None, **settings: Any) -> local.Counts:
        uri = self.broker.uri
        places = {
            "source": uri(self.source),
            "sink": uri(self.scores),
            "rejected": uri(self.rejected),
        }
        settings = {"until_empty": True, "poll_seconds": 0.5, **places, **settings}
        return local.run(StreamConfig(str(model), **settings), stop or stopping.Stop())

    def committed(self) -> list[int]:
        return [self.broker.committed(self.source, "triad", n) for n in range(self.partitions)]

    def rows(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(message.value()) for message in self.broker.read(topic)]


def example(**fields: bytes) -> bytes:
    made = example_pb2.Example()
    for name, value in fields.items():
        made.features.feature[name].bytes_list.value.append(value)
    return made.SerializeToString()


def test_examples_of_three_partitions_have_ids_that_a_restart_in_the_middle_keeps(trained, broker):
    topics = Topics(broker, 3)
    for partition in range(3):
        values = [example(id=b"own", image=media.png()), example(text=b"one"), example(text=b"two")]
        values[0] = example(id=f"own-{partition}".encode(), image=media.png())
        broker.send(topics.source, [*values, b"\x0a\xff"], partition=partition)
        named = [example(text=b"named")]
        header = ("id", f"named-{partition}".encode())
        broker.send(topics.source, named, partition=partition, more=[header])
    settings = {"message_format": "example", "batch_records": 4}
    first = topics.run(trained, StopOnceCommitted(topics), **settings)
    assert 0 < first.read <= 4
    second = topics.run(trained, **settings)
    assert first.plus(second) == local.Counts(15, 12, 3)

    rows = topics.rows(topics.scores)
    of_partition = {
        f"{one}{partition}{two}"
        for partition in range(3)
        for one, two in (
            ("own-", ""),
            (f"{topics.source}-", "-1"),
            (f"{topics.source}-", "-2"),
            ("named-", ""),
        )
    }
    assert collections.Counter(row["id"] for row in rows) == dict.fromkeys(of_partition, 1)
    used = {row["id"]: row["modalities_used"] for row in rows}
    assert used["own-1"] == ["image"]
    headers = {row["id"]: json.loads(row["message_headers"]) for row in rows}
    assert headers["named-2"] == {"place": "0", "id": "named-2"}
    assert headers["own-2"] == {"place": "0"}
    refused = {row["source"] for row in topics.rows(topics.rejected)}
    assert refused == {f"{broker.uri(topics.source)}/{partition}#3" for partition in range(3)}
    assert topics.committed() == [5, 5, 5]


def test_avro_behind_the_header_of_a_registry_is_scored_and_what_is_none_rejected(
    trained, broker, tmp_path
):
    path = tmp_path / "clip.avsc"
    path.write_text(json.dumps(AVRO))
    stored = io.BytesIO()
    fastavro.schemaless_writer(stored, AVRO, {"id": "a", "text": "a red bird"})
    good = b"\0\0\0\0\7" + stored.getvalue()
    topics = Topics(broker)
    broker.send(topics.source, [good, good[5:], good[:-1], good + b"\0"])
    settings = {"message_format": "avro", "message_schema": str(path), "message_schema_id": 7}
    assert topics.run(trained, **settings) == local.Counts(4, 1, 3)
    assert [row["id"] for row in topics.rows(topics.scores)] == ["a"]
    assert [row["detail"] for row in topics.rows(topics.rejected)] == [
        "the message does not begin with the number of a schema",
        "not Avro of the schema: a length that leads out of it",
        "not Avro of the schema: bytes are left over",
    ]


def test_objects_that_break_a_schema_are_rejected_with_the_place(trained, broker, tmp_path):
    path = tmp_path / "clip.json"
    path.write_text(json.dumps({"properties": {"text": {"minLength": 2}}}))
    topics = Topics(broker)
    broker.send(topics.source, [b'{"id": "a", "text": "ab"}', b'{"id": "b", "text": "a"}'])
    assert topics.run(trained, message_schema=str(path)) == local.Counts(2, 1, 1)
    (row,) = topics.rows(topics.rejected)
    assert row["detail"] == "not of the schema: at $.text it breaks minLength"


def test_large_messages_are_scored_up_to_the_limit_and_deleted_keys_are_told(trained, broker):
    topics = Topics(broker, max_message_bytes=str(2**23))
    picture = media.jpeg(width=2000, height=1600)
    padding = b"\0" * (2_000_000 - len(picture))  # more than a fetch holds by default
    values = [example(id=b"large", image=picture + padding), None, example(id=b"x" * 3_000_000)]
    broker.send(topics.source, values)
    settings = {"message_format": "example", "message_bytes": 2_500_000}
    assert topics.run(trained, **settings) == local.Counts(3, 1, 2)
    assert [row["modalities_used"] for row in topics.rows(topics.scores)] == [["image"]]
    told = [(row["reason"], row["detail"]) for row in topics.rows(topics.rejected)]
    assert told == [
        ("empty", "the message has no value"),
        ("unparsable", "the message is longer than 2500000 bytes"),
    ]


def test_a_row_that_is_larger_than_a_topic_takes_is_rejected_and_stops_nothing(trained, broker):
    topics = Topics(broker, max_message_bytes=str(2**21))
    padded = json.dumps({"id": "large", "text": "x", "more": "y" * 1_200_000}).encode()
    broker.send(topics.source, [b'{"id": "a", "text": "x"}', padded, b'{"id": "b", "text": "x"}'])
    assert topics.run(trained) == local.Counts(3, 2, 1)
    assert [row["id"] for row in topics.rows(topics.scores)] == ["a", "b"]
    (row,) = topics.rows(topics.rejected)
    assert (row["id"], row["stage"], row["reason"]) == ("large", "publish", "too_large")
    assert topics.committed() == [3]


def test_a_folder_to_topics_is_remembered_where_the_state_is(trained, broker, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.jsonl").write_text('{"id": "a", "text": "a red bird"}\n{"id": "b"}\n')
    topics = Topics(broker)
    settings = {"source": str(source), "state": str(tmp_path / "state"), "poll_seconds": 0}
    assert topics.run(trained, **settings) == local.Counts(2, 1, 1)
    (source / "b.jsonl").write_text('{"id": "c", "text": "two dogs"}\n')
    assert topics.run(trained, **settings) == local.Counts(1, 1, 0)
    assert topics.run(trained, **settings) == local.Counts()
    assert [row["id"] for row in topics.rows(topics.scores)] == ["a", "c"]
    assert [row["id"] for row in topics.rows(topics.rejected)] == ["b"]
    other = {**settings, "state": str(tmp_path / "other")}
    assert topics.run(trained, **other) == local.Counts(3, 2, 1)
    keys = [message.key() for message in broker.read(topics.scores)]
    assert sorted(keys[:2]) == sorted(keys[2:])  # twice, under the same keys
