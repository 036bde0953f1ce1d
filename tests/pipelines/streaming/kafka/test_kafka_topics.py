"""Topics that are created again, emptied, extended or transactional: no message is lost."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests import kafka
from tests.pipelines.streaming.kafka.test_kafka_messages import Topics
from triad_ml.pipelines.streaming.interfaces import Part
from triad_ml.pipelines.streaming.jobs import local
from triad_ml.pipelines.streaming.kafka import admin
from triad_ml.pipelines.streaming.kafka.admin import Bounds
from triad_ml.pipelines.streaming.kafka.places import Known, Start, start
from triad_ml.pipelines.streaming.kafka.source import KafkaSource
from triad_ml.pipelines.streaming.messages.parser import Parser

ANEW = "is another topic than the one of this name that was read before, or its log was cut"


def records(*names: str) -> list[bytes]:
    return [json.dumps({"id": name, "text": "a red bird"}).encode() for name in names]


@contextlib.contextmanager
def source_of(broker: kafka.Broker, topic: str, *given: Part) -> Iterator[KafkaSource]:
    source = KafkaSource(broker.servers, topic, "g", Parser(), 100, 0.5, given)
    try:
        yield source
    finally:
        source.close()


BOUNDS = Bounds(10, 40, 50)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ([], Start(10, 10)),
        ([Known(20, "t"), Known(30, "t")], Start(30, 30)),
        ([Known(4, "t")], Start(10, 4)),  # six are gone
        ([Known(45, "t")], Start(45, 45)),  # behind an open transaction, as another reader left it
        ([Known(51, "t")], Start(10, 10, anew=True)),  # the log was cut
        ([Known(30, "other")], Start(10, 10, anew=True)),
        ([Known(30, "other"), Known(20, "t")], Start(20, 20)),
        ([Known(30, "")], Start(30, 30)),  # of a version, or a tool, that named no topic
        ([Known(20, "t"), Known(30, "")], Start(30, 30)),  # an operator skipped some
        ([Known(20, "t"), Known(60, "")], Start(20, 20)),
        ([Known(60, "")], Start(10, 10, anew=True)),
    ],
)
def test_a_partition_is_read_from_the_last_place_that_is_known_of_this_very_topic(known, expected):
    assert start(known, "t", BOUNDS) == expected


def test_without_ids_of_topics_the_offsets_alone_decide():
    assert start([Known(30, "t")], "", BOUNDS) == Start(30, 30)
    assert start([Known(60, "")], "", BOUNDS) == Start(10, 10, anew=True)


@pytest.mark.parametrize("count", [2, 5], ids=["shorter", "longer"])
def test_a_topic_that_was_made_again_is_read_from_its_beginning(
    trained: Path, broker, tmp_path, caplog, count
):
    """Also where its end is beyond the offsets of the one before."""
    topics = Topics(broker)
    files = {"sink": str(tmp_path / "files"), "rejected": None}
    broker.send(topics.source, records("a", "b", "c"))
    assert topics.run(trained, **files) == local.Counts(3, 3, 0)
    broker.again(topics.source)
    new = [f"n{place}" for place in range(count)]
    broker.send(topics.source, records(*new))
    assert topics.run(trained, **files) == local.Counts(count, count, 0)
    assert ANEW in caplog.text
    caplog.clear()
    assert topics.run(trained, **files) == local.Counts()
    assert ANEW not in caplog.text


def test_committed_offsets_alone_tell_a_topic_that_was_made_again(broker, caplog):
    topic = broker.topic()
    broker.send(topic, records("a", "b", "c"))
    with source_of(broker, topic) as source:
        parts = kafka.polled(source)
        broker.again(topic)  # the group's coordinator forgets the offsets, and gets them anew
        broker.send(topic, records(*"abcdef"))
        source.done(parts)
    assert broker.committed(topic, "g") == 3
    with source_of(broker, topic) as source:
        (part,) = kafka.polled(source)
    assert (part.start, part.stop, part.version) == (0, 6, broker.topic_id(topic))
    assert ANEW in caplog.text


@pytest.mark.parametrize("count", [2, 6], ids=["shorter", "longer"])
def test_a_topic_that_is_made_again_while_it_is_read_is_read_from_its_beginning(
    broker, caplog, monkeypatch, count
):
    monkeypatch.setattr(admin, "LOOK", 0.2)
    topic = broker.topic()
    broker.send(topic, records("a", "b", "c"))
    with source_of(broker, topic) as source:
        parts = kafka.polled(source)
        broker.again(topic)
        broker.send(topic, records(*"abcdef"[:count]))
        new = broker.topic_id(topic)
        while (part := kafka.polled(source)[0]).version != new:
            pass  # what was fetched before anybody looked
        assert (part.start, part.stop) == (0, count)
        source.done(parts)  # commits nothing of the old one
        assert broker.committed(topic, "g") < 0
        assert source.unchanged([*parts, part]) == (part,)
    assert ANEW in caplog.text


def test_what_a_log_removed_before_it_was_read_is_told_and_counted(
    trained, broker, tmp_path, caplog
):
    topics, prom = Topics(broker), tmp_path / "triad.prom"
    broker.send(topics.source, records("a", "b"))
    assert topics.run(trained, metrics=str(prom)).read == 2
    before = removed(prom)  # by other streams of this process
    broker.send(topics.source, records("c", "d", "e", "f"))
    broker.remove(topics.source, 5)
    assert topics.run(trained, metrics=str(prom)) == local.Counts(1, 1, 0)
    place = f"{broker.uri(topics.source)}/0"
    told = "messages were removed before they were read, offsets 2 to 4 (3): passed over"
    assert f"{place}: {told}" in caplog.text
    assert removed(prom) - before == 3


def removed(metrics: Path) -> float:
    """The messages that logs removed, as a file of metrics has them."""
    (found,) = re.findall(r"^triad_stream_removed_total (\S+)$", metrics.read_text(), re.MULTILINE)
    return float(found)


def test_what_is_removed_while_a_stream_reads_is_told_and_the_rest_is_read(broker, caplog):
    """The client fetches one answer of the broker ahead, of about five of these messages."""
    topic = broker.topic()
    broker.send(topic, [b"x" * 200_000] * 30)
    source = KafkaSource(broker.servers, topic, "g", Parser(), 1, 0, batch_bytes=1024)
    try:
        kafka.polled(source)
        broker.remove(topic, 28)
        parts = kafka.polled(source)
        while parts[0].stop < 30:
            last, parts = parts, kafka.polled(source)
            lost = parts[0].start - last[0].stop
            assert lost == 0 or parts[0].start == 28
    finally:
        source.close()
    place = re.escape(f"{broker.uri(topic)}/0")
    found = re.search(rf"{place}: messages were removed .*, offsets (\d+) to 27 ", caplog.text)
    assert found is not None
    assert 0 < int(found[1]) < 27


def test_a_part_from_before_a_restart_that_the_log_lost_stops_nothing(broker, caplog):
    topic = broker.topic()
    broker.send(topic, records("a", "b", "c"))
    place, topic_id = f"{broker.uri(topic)}/0", broker.topic_id(topic)
    broker.remove(topic, 3)
    begun = Part(place, 0, 2, topic_id)
    with source_of(broker, topic, begun) as source:
        assert source.unchanged([begun]) == (begun,)
        assert source.messages(begun) == []
    assert f"{place}: messages were removed before they were read, offsets 0 to 1" in caplog.text


def test_partitions_that_are_added_are_read_too(broker, caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr(admin, "LOOK", 0.2)
    topic = broker.topic()
    with source_of(broker, topic) as source:
        broker.widen(topic, 3)
        broker.send(topic, records("a", "b"), partition=2)
        (part,) = kafka.polled(source)
        assert (part.source, part.start, part.stop) == (f"{broker.uri(topic)}/2", 0, 2)
    assert f"{broker.uri(topic)}: has new partitions, which are read too: 1, 2" in caplog.text


def transactional(broker: kafka.Broker, topic: str) -> Producer:
    producer = Producer({"bootstrap.servers": broker.servers, "transactional.id": topic})
    producer.init_transactions(60)
    return producer


def in_transaction(producer: Producer, topic: str, *names: str) -> None:
    producer.begin_transaction()
    for value in records(*names):
        producer.produce(topic, value)
    assert producer.flush(60) == 0


def test_of_transactions_what_was_committed_is_read_and_nothing_stays_behind(
    trained, broker, tmp_path, caplog
):
    caplog.set_level("INFO")
    topics, prom = Topics(broker), tmp_path / "triad.prom"
    producer = transactional(broker, topics.source)
    for name in "abc":
        in_transaction(producer, topics.source, name)
        producer.commit_transaction()
    in_transaction(producer, topics.source, "aborted", "too")
    producer.abort_transaction()
    assert topics.run(trained, metrics=str(prom)) == local.Counts(3, 3, 0)
    assert "triad_stream_behind 0.0" in prom.read_text()
    assert [row["id"] for row in topics.rows(topics.scores)] == ["a", "b", "c"]

    in_transaction(producer, topics.source, "open")
    broker.send(topics.source, records("behind it"))
    assert topics.run(trained, metrics=str(prom)) == local.Counts()
    place = f"{broker.uri(topics.source)}/0"
    told = (
        f"{place}: a transaction is open at offset 9: what comes from there on (2 by now) is read"
    )
    assert told in caplog.text
    producer.commit_transaction()
    assert topics.run(trained) == local.Counts(2, 2, 0)


def test_the_lag_counts_what_can_be_read_and_beside_it_what_a_transaction_holds_back(broker):
    topic = broker.topic()
    producer = transactional(broker, topic)
    in_transaction(producer, topic, "a")
    producer.commit_transaction()
    in_transaction(producer, topic, "b", "c")
    with source_of(broker, topic) as source:
        (part,) = kafka.polled(source)
        assert (part.start, part.stop) == (0, 1)
        while source.load().held_back != 2:
            assert source.poll() == ()
        assert source.load().behind == 0
        producer.commit_transaction()
        (part,) = kafka.polled(source)
        assert (part.start, part.stop) == (1, 4)
        while not (load := source.load()).held_back == load.behind == 0:
            assert source.poll() == ()
