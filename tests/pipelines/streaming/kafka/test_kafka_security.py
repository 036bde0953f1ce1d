"""Kafka with TLS and a password, from a file of properties whose values are in no error."""

import json
import traceback
from pathlib import Path
from typing import Any

import pytest

from tests import kafka
from tests.pipelines.streaming.conftest import LOGIN
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.jobs import local, stopping
from triad_ml.pipelines.streaming.kafka import properties as kafka_properties
from triad_ml.pipelines.streaming.kafka.source import KafkaSource
from triad_ml.pipelines.streaming.messages.parser import Parser
from triad_ml.transforms.errors import OptionsError, StorageError

USER, PASSWORD = LOGIN


def properties(broker: kafka.Broker, **changed: str) -> str:
    lines = {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(broker.certificate),
        "sasl.mechanism": "PLAIN",
        "sasl.username": USER,
        "sasl.password": PASSWORD,
        **{name.replace("_", "."): value for name, value in changed.items()},
    }
    return "# for the tests\n\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())


def source(broker: kafka.Broker, path: Path) -> KafkaSource:
    return KafkaSource(broker.secure, "t", "g", Parser(), 3, 1, (), str(path))


def test_topic_to_topics_by_tls_with_a_password(trained, broker, tmp_path, caplog, capfd):
    path = tmp_path / "client.properties"
    path.write_text(properties(broker))
    names = [broker.topic() for _ in range(3)]
    broker.send(names[0], [b'{"id": "a", "text": "a red bird"}', b"{"])
    places = [f"kafka://{broker.secure}/{name}" for name in names]
    config = StreamConfig(
        str(trained), *places, poll_seconds=0.5, until_empty=True, kafka_config=str(path)
    )
    assert local.run(config, stopping.Stop()) == local.Counts(2, 1, 1)
    assert [json.loads(one.value())["id"] for one in broker.read(names[1])] == ["a"]
    assert len(broker.read(names[2])) == 1
    assert PASSWORD not in caplog.text + "".join(capfd.readouterr()) + repr(config)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"sasl_password": "wr0ng-CANARY"},
            "SASL authentication error: Authentication failed: Invalid username or password",
        ),
        ({"ssl_ca_location": "none"}, "certificate verify failed"),
    ],
    ids=["password", "certificate"],
)
def test_who_is_not_let_in_is_told_why_and_nothing_of_the_secret(broker, tmp_path, changed, said):
    if "ssl_ca_location" in changed:
        kafka.certify(tmp_path)  # of somebody else
        changed = {"ssl_ca_location": str(tmp_path / "certificate.pem")}
    path = tmp_path / "client.properties"
    path.write_text(properties(broker, **changed))
    with pytest.raises(StorageError) as caught:
        source(broker, path)
    line = str(caught.value)
    assert line.startswith(f"kafka://{broker.secure}/t: ")
    assert said in line
    assert line.endswith("; check the address and the broker, then run again")
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("enable.auto.commit=true", "line 1: enable.auto.commit is set by Triad itself; "),
        ("#\n group.id = CANARY", "line 2: group.id is set by Triad itself; leave it out"),
        ("isolation.level=CANARY", "line 1: isolation.level is set by Triad itself; leave it out"),
        ("plugin.library.paths=CANARY", "line 1: plugin.library.paths is not handed on; leave "),
        ("sasl.password", "line 1: is no name=value of a client property; mend it"),
        ("CANARY", "line 1: is no name=value of a client property; mend it"),
        ("error_cb=CANARY", "line 1: is no name=value of a client property; mend it"),
        ("a.b=1\na.b=CANARY", "line 2: a.b is set twice; remove one"),
        ("sasl.pasword=CANARY", 'No such configuration property: "sasl.pasword"; mend it'),
        (
            "security.protocol=CANARY",
            'Invalid value "..." for configuration property "security.protocol"; mend it',
        ),
    ],
)
def test_a_property_that_cannot_be_is_refused_without_its_value(tmp_path, lines, said):
    path = tmp_path / "client.properties"
    path.write_text(lines)
    with pytest.raises(OptionsError) as caught:
        KafkaSource("127.0.0.1:1", "t", "g", Parser(), 3, 1, (), str(path))
    assert str(caught.value).startswith(f"--kafka-config: {path}: {said}")
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    path = tmp_path / "client.properties"
    with pytest.raises(OptionsError) as missing:
        kafka_properties.read(str(path))
    assert str(missing.value) == f"--kafka-config: {path}: no such file; name one that is there"
    path.write_bytes(b"sasl.password=\xff")
    with pytest.raises(OptionsError) as binary:
        kafka_properties.read(str(path))
    assert str(binary.value) == (
        f"--kafka-config: {path}: is not UTF-8 text; write name=value lines"
    )


def test_a_sink_tells_of_a_broken_file_before_the_first_batch(trained, tmp_path):
    path = tmp_path / "client.properties"
    path.write_text("acks.all=1\ngroup.id=x")
    (tmp_path / "in").mkdir()
    topics: dict[str, Any] = {
        "sink": "kafka://127.0.0.1:1/a",
        "rejected": "kafka://127.0.0.1:1/b",
        "state": str(tmp_path / "state"),
        "kafka_config": str(path),
    }
    config = StreamConfig(str(trained), str(tmp_path / "in"), **topics)
    with pytest.raises(OptionsError, match="line 2: group.id is set by Triad itself"):
        local.run(config, stopping.Stop())
