"""Brokers that do not answer are one line, at the start and while a stream runs."""

import pytest

from pipelines import kafka_broker, stream_config
from pipelines.stream_config import StreamConfig
from pipelines.streaming import kafka_admin, kafka_sink
from pipelines.streaming.kafka_source import KafkaSource
from pipelines.streaming.messages import Parser
from tests import kafka
from tests.pipelines.streaming.test_kafka_messages import Topics
from tests.pipelines.streaming.test_kafka_poison import refused, sink_of
from tests.pipelines.streaming.test_kafka_topics import records
from transforms.errors import StorageError

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
    monkeypatch.setattr(kafka_admin, "TIMEOUT", 1.0)
    there = f"{broker.servers}/{broker.topic()}"
    places = {name: place.replace("BROKER/TOPIC", there) for name, place in places.items()}
    capfd.readouterr()  # what the test's own clients say
    with pytest.raises(StorageError) as caught:
        stream_config.check_places(StreamConfig("model", **places))
    assert str(caught.value) == f"kafka://127.0.0.1:1/{named}: {GONE}, then run again"
    assert "rdkafka" not in "".join(capfd.readouterr())


def test_a_broker_that_goes_and_comes_back_is_told_and_waited_for(
    trained, tmp_path, monkeypatch, caplog, capfd
):
    caplog.set_level("INFO")
    monkeypatch.setattr(kafka_admin, "LOOK", 0.2)
    monkeypatch.setattr(kafka_admin, "TIMEOUT", 1.0)
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
        kafka_broker.down(folder)
        while "the stream waits meanwhile" not in caplog.text:
            assert source.poll() == ()
        with pytest.raises(StorageError, match=r"/t-\w+: 1 messages were not taken in 2 s: "):
            sink.write(2, "", [], [refused(1, "lost to nobody")])
        assert ": 1 messages are not taken yet: " in caplog.text
        assert "rdkafka" not in "".join(capfd.readouterr())
        kafka_broker.up(folder)
        while "answers again" not in caplog.text:
            assert source.poll() == ()
        broker.send(topics.source, records("b"))
        (part,) = kafka.polled(source)
        assert (part.start, part.stop) == (1, 2)
        source.close()
    assert caplog.text.count("the stream waits meanwhile") == 1
