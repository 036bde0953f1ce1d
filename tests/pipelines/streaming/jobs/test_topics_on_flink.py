"""Start offsets and topic ids at a submission to Flink, with a real Kafka broker."""

import dataclasses
import os
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests import kafka
from tests.pipelines.streaming.jobs.test_flink_checkpoints import keep
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.jobs import flink, flink_checkpoints
from triad_ml.transforms.errors import OptionsError

GOOD = b'{"text": "a"}'


@pytest.fixture
def config(broker: kafka.Broker, tmp_path: Path) -> StreamConfig:
    places = (broker.uri(broker.topic()) for _ in range(3))
    return StreamConfig("model", *places, state=str(tmp_path), runner="flink", group="flink")


def commit(broker: kafka.Broker, topic: str, offset: int) -> None:
    """Commits as Flink does: without a word on the topic."""
    consumer = Consumer({"bootstrap.servers": broker.servers, "group.id": "flink"})
    consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
    consumer.close()


def test_a_job_begins_at_the_beginning_of_a_topic_that_was_made_again(broker, config, caplog):
    topic = config.source.rpartition("/")[2]
    broker.send(topic, [GOOD] * 5)
    flink.settle_topic(config)
    assert broker.committed(topic, "flink") == 0
    commit(broker, topic, 3)
    old = keep(flink_checkpoints.folder(config) / "job" / "chk-1", age=0)
    flink.settle_topic(config)
    assert broker.committed(topic, "flink") == 3
    assert flink_checkpoints.latest(flink_checkpoints.folder(config)) == old
    assert "is another topic" not in caplog.text

    broker.again(topic)
    broker.send(topic, [GOOD] * 9)
    commit(broker, topic, 4)  # by the job, which ran on
    flink.settle_topic(config)
    assert broker.committed(topic, "flink") == 0
    assert f"{config.source}: is another topic than the one of this name" in caplog.text
    commit(broker, topic, 7)
    flink.settle_topic(config)
    assert broker.committed(topic, "flink") == 7


@pytest.mark.parametrize("named", ["latest", "job/chk-1"])
def test_a_checkpoint_of_the_topic_that_had_the_name_before_is_refused(broker, config, named):
    folder, topic = flink_checkpoints.folder(config), config.source.rpartition("/")[2]
    flink.settle_topic(config)
    keep(folder / "job" / "chk-1", age=0)
    broker.again(topic)
    place = named if named == "latest" else str(folder / named)
    again = dataclasses.replace(config, from_checkpoint=place)
    flink.settle_topic(again)
    with pytest.raises(OptionsError, match="no whole checkpoint of this topic|had the name of"):
        flink_checkpoints.chosen(again)
    os.utime(keep(folder / "job" / "chk-2", age=0) / "_metadata")  # made now
    assert flink_checkpoints.latest(folder) == folder / "job" / "chk-2"


def test_what_retention_removed_is_told_when_a_job_is_submitted(broker, config, caplog):
    topic = config.source.rpartition("/")[2]
    broker.send(topic, [GOOD] * 6)
    commit(broker, topic, 2)
    broker.remove(topic, 5)
    flink.settle_topic(config)
    assert f"{config.source}/0: messages were removed before they were read, offsets 2 to 4" in (
        caplog.text
    )
    assert broker.committed(topic, "flink") == 5
