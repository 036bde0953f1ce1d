"""Unreachable brokers: one line in the log, at the start and while a stream runs."""

import pytest

from tests import kafka
from tests.pipelines.streaming.kafka.test_kafka_messages import Topics
from tests.pipelines.streaming.kafka.test_kafka_poison import refused, sink_of
from tests.pipelines.streaming.kafka.test_kafka_topics import records
from triad_ml.pipelines.streaming import rules
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.kafka import admin, dev_broker
from triad_ml.pipelines.streaming.kafka import sink as kafka_sink
from triad_ml.pipelines.streaming.kafka.source import KafkaSource
from triad_ml.pipelines.streaming.messages.parser import Parser
from triad_ml.transforms.errors import StorageError

GONE = "Connect to ipv4#127.0.0.1:1 failed: Connection refused; check the address and the broker"


@pytest.mark.parametrize(
    ("places", "named"),
    [
        ({"source": "kafka://127.0.0.1:1/source", "sink": "out"}, "source"),
        (
            {
                "source": "in",
                "sink": "kafka://127.0.0.1:1/sink",
                "rejected": "kafka://127.0.0.1:1/rejected",
                "state": "state",
            },
            "sink",
        ),
        (
            {
                "source": "kafka://BROKER/TOPIC",
                "replay_from": "kafka://127.0.0.1:1/rows",
                "sink": "out",
            },
            "rows",
        ),
    ],
    ids=["source", "sink", "replay"],
)
def test_a_broker_that_does_not_answer_is_one_line(
    places, named, broker, tmp_path, monkeypatch, capfd
):
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(admin, "TIMEOUT", 1.0)
    there = f"{broker.servers}/{broker.topic()}"
    places = {name: place.replace("BROKER/TOPIC", there) for name, place in places.items()}
    capfd.readouterr()  # what the test's own clients say
    with pytest.raises(StorageError) as caught:
        rules.check_inputs(StreamConfig("model", **places))
    assert str(caught.value) == f"kafka://127.0.0.1:1/{named}: {GONE}, then run again"
    assert "rdkafka" not in "".join(capfd.readouterr())


def test_a_broker_that_goes_and_comes_back_is_told_and_waited_for(
    trained, tmp_path, monkeypatch, caplog, capfd
):
    caplog.set_level("INFO")
    monkeypatch.setattr(admin, "LOOK", 0.2)
    monkeypatch.setattr(admin, "TIMEOUT", 1.0)
    monkeypatch.setattr(kafka_sink, "TIMEOUT", 1.0)
    monkeypatch.setattr(kafka_sink, "_FLUSH_SECONDS", 1.5)
    folder = tmp_path / "broker"
    with kafka.broker(folder) as broker:
        topics = Topics(broker)
        broker.send(topics.source, records("a"))
        source = KafkaSource(broker.servers, topics.source, "g", Parser(), 10, 0)
        sink = sink_of(trained, broker, topics)
        kafka.polled(source)
        sink.write(1, "", [], [refused(0, "before")])
        capfd.readouterr()
        dev_broker.down(folder)
        while "the stream waits meanwhile" not in caplog.text:
            assert source.poll() == ()
        with pytest.raises(StorageError, match=r"/t-\w+: 1 messages were not taken in 2 s: "):
            sink.write(2, "", [], [refused(1, "lost to nobody")])
        assert ": 1 messages are not taken yet: " in caplog.text
        assert "rdkafka" not in "".join(capfd.readouterr())
        dev_broker.up(folder)
        while "answers again" not in caplog.text:
            assert source.poll() == ()
        broker.send(topics.source, records("b"))
        (part,) = kafka.polled(source)
        assert (part.start, part.stop) == (1, 2)
        source.close()
    assert caplog.text.count("the stream waits meanwhile") == 1
