"""Stream from and to a real Kafka broker."""

import itertools
import json
import types
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from tests import kafka
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.interfaces import Part
from triad_ml.pipelines.streaming.jobs import flink, local, stopping
from triad_ml.pipelines.streaming.kafka import client
from triad_ml.pipelines.streaming.kafka.source import KafkaSource
from triad_ml.pipelines.streaming.messages.parser import Parser
from triad_ml.pipelines.tables import rows as tables_rows
from triad_ml.transforms.errors import OptionsError, StorageError

TEXTS = ["a red bird", "two dogs", "nothing much", "a cat"]
GOOD = [json.dumps({"id": f"r{n}", "text": text}).encode() for n, text in enumerate(TEXTS)]
MESSAGES: list[bytes | None] = [*GOOD[:2], b"no json", None, *GOOD[2:], b'{"text": "mine"}']


def run(model: Path, **settings: Any) -> local.Counts:
    settings = {"until_empty": True, "poll_seconds": 0.5, **settings}
    return local.run(StreamConfig(str(model), **settings), stopping.Stop())


def files(sink: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(sink.rglob("*.jsonl")) if "window=" in str(p)}


def test_topic_to_topics_loses_nothing_and_commits_what_is_done(trained, broker):
    source, scores, rejected = broker.topic(), broker.topic(), broker.topic()
    broker.send(source, MESSAGES)
    places = {
        "source": broker.uri(source),
        "sink": broker.uri(scores),
        "rejected": broker.uri(rejected),
        "batch_records": 3,
    }
    assert run(trained, **places) == local.Counts(7, 5, 2)
    assert broker.committed(source, "triad") == 7

    rows = [
        (json.loads(m.key()), json.loads(m.value()), m.timestamp()[1]) for m in broker.read(scores)
    ]
    assert [row["id"] for _, row, _ in rows] == ["r0", "r1", "r2", "r3", f"{source}-0-6"]
    assert [key for key, _, _ in rows] == [[row["id"], row["model_digest"]] for _, row, _ in rows]
    assert [time - 1_700_000_000_000 for _, _, time in rows] == [0, 1, 4, 5, 6]
    assert rows[3][1]["message_headers"] == '{"place": "5"}'
    assert rows[3][1][tables_rows.POSITION] == f"{broker.uri(source)}/0#5"
    told = [json.loads(message.value()) for message in broker.read(rejected)]
    assert [(row["source"], row["stage"], row["reason"]) for row in told] == [
        (f"{broker.uri(source)}/0#2", "read", "unparsable"),
        (f"{broker.uri(source)}/0#3", "read", "empty"),
    ]

    assert run(trained, **places) == local.Counts()
    broker.send(source, GOOD[:1])
    assert run(trained, **places) == local.Counts(1, 1, 0)
    assert len(broker.read(scores)) == 6


def test_topic_to_files_gives_the_same_files_again_after_a_kill(trained, broker, tmp_path):
    source = broker.topic()
    broker.send(source, MESSAGES)
    settings = {"source": broker.uri(source), "sink": str(tmp_path / "s"), "format": "jsonl"}
    settings |= {"batch_records": 4, "group": "files"}
    assert run(trained, **settings) == local.Counts(7, 5, 2)
    whole = files(tmp_path / "s")
    journal = tmp_path / "s" / "_triad" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    journal.write_bytes(b"".join(lines[:3]))  # killed before the second batch was done
    for path in (tmp_path / "s").rglob("00000002-*"):
        path.unlink()
    assert run(trained, **settings) == local.Counts(3, 3, 0)
    assert files(tmp_path / "s") == whole
    # The journal knows what is done even where its offsets were never committed.
    assert run(trained, **{**settings, "group": "new"}) == local.Counts()


def test_offsets_are_committed_only_when_told_that_the_output_is_durable(broker):
    topic = broker.topic()
    broker.send(topic, GOOD)
    source = KafkaSource(broker.servers, topic, "g", Parser(), 3, 5)
    place, topic_id = f"{broker.uri(topic)}/0", broker.topic_id(topic)
    try:
        parts = kafka.polled(source)
        assert parts == (Part(place, 0, 3, topic_id),)
        assert broker.committed(topic, "g") < 0
        source.done(parts)
        assert broker.committed(topic, "g") == 3
        assert kafka.polled(source) == (Part(place, 3, 4, topic_id),)
        assert source.is_drained()
    finally:
        source.close()


def test_what_came_during_the_batch_before_does_not_wait_once_more(broker, monkeypatch):
    topic, seconds = broker.topic(), itertools.count()
    looks = types.SimpleNamespace(monotonic=lambda: next(seconds))
    monkeypatch.setattr("triad_ml.pipelines.streaming.kafka.source.time", looks)
    broker.send(topic, GOOD)
    source = KafkaSource(broker.servers, topic, "g", Parser(), 3, 1000)
    try:
        while not (parts := source.poll()):
            pass
        place, topic_id = f"{broker.uri(topic)}/0", broker.topic_id(topic)
        assert parts == (Part(place, 0, 3, topic_id),)
        began = next(itertools.islice(seconds, 1000, None))  # so long is the batch in work
        assert source.poll() == (Part(place, 3, 4, topic_id),)
        assert next(seconds) < began + 10
    finally:
        source.close()


def test_of_a_log_the_last_part_of_each_partition_is_remembered(broker):
    source = KafkaSource(broker.servers, broker.topic(), "g", Parser(), 3, 1)
    parts = [Part(f"kafka://h:1/t/{n % 2}", 5 * n, 5 * n + 5) for n in range(7)]
    try:
        assert set(source.needed(parts)) == set(parts[-2:])
    finally:
        source.close()


def test_a_topic_that_is_not_there_and_a_broker_that_does_not_answer_are_one_line(broker):
    with pytest.raises(OptionsError, match=r"^kafka://.*/none: no such topic; create it, or name"):
        KafkaSource(broker.servers, "none", "g", Parser(), 3, 1)
    with pytest.raises(StorageError, match=r"^kafka://127.0.0.1:1/t: .*; check the address and"):
        KafkaSource("127.0.0.1:1", "t", "g", Parser(), 3, 1)


@pytest.mark.parametrize("missing", ["source", "sink", "rejected"])
def test_a_job_of_flink_is_not_submitted_where_a_topic_is_missing(
    missing, trained, broker, tmp_path
):
    places = {name: broker.uri(broker.topic()) for name in ("source", "sink", "rejected")}
    places[missing] = broker.uri("none")
    config = StreamConfig(str(trained), **places, runner="flink", state=str(tmp_path / "state"))
    with pytest.raises(OptionsError, match=r"^kafka://.*/none: no such topic; create it, or name"):
        flink.run(config)
    assert not (tmp_path / "state").exists()


def refusing(*codes):
    """A question that is refused with these codes, then answered; and a list of its askings."""
    asked = []

    def ask():
        asked.append(True)
        if len(asked) <= len(codes):
            raise KafkaException(KafkaError(codes[len(asked) - 1]))
        return "offsets"

    return ask, asked


def test_a_coordinator_that_is_being_chosen_is_asked_again():
    ask, asked = refusing(KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
    assert client.coordinated(ask) == "offsets"
    assert len(asked) == 3


def test_any_other_refusal_of_a_coordinator_is_told_at_once():
    ask, asked = refusing(KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException):
        client.coordinated(ask)
    assert len(asked) == 1
