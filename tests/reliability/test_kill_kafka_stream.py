"""kill -9 of a stream from Kafka to Kafka: no record is missing, and duplicates are equal."""

import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import kafka
from tests.reliability.forkserver import ForkServer

pytestmark = pytest.mark.slow

KILLS = 8
RECORDS = 200
_SEED = 20261126


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka.Broker]:
    with kafka.broker(tmp_path_factory.mktemp("kafka")) as started:
        yield started


def test_a_stream_killed_again_and_again_loses_no_message(
    trained: Path, fork_server: ForkServer, broker: kafka.Broker
) -> None:
    source, scores, rejected = broker.topic(), broker.topic(), broker.topic()
    good = [json.dumps({"id": f"r{n}", "text": f"bird {n}"}).encode() for n in range(RECORDS)]
    broker.send(source, [b"{" if n % 10 == 3 else value for n, value in enumerate(good)])
    argv = ["stream", "--model", str(trained), "--source", broker.uri(source)]
    argv += ["--sink", broker.uri(scores), "--rejected", broker.uri(rejected)]
    argv += ["--batch-records", "10", "--poll-seconds", "0", "--until-empty"]
    rng = random.Random(_SEED)
    killed, offsets = 0, []
    for _ in range(KILLS):
        ended = fork_server.run(argv, kill_after=3 + 5 * rng.random())
        assert ended.signal == signal.SIGKILL or ended.exit_code == 0, ended.said
        killed += ended.signal == signal.SIGKILL
        offsets.append(max(0, broker.committed(source, "triad")))
    ended = fork_server.run(argv)
    assert ended.exit_code == 0, ended.said
    assert killed
    assert offsets == sorted(offsets)
    assert broker.committed(source, "triad") == RECORDS

    found: dict[str, set[bytes]] = {}
    for message in [*broker.read(scores), *broker.read(rejected)]:
        found.setdefault(str(message.key()), set()).add(message.value())
    assert {len(values) for values in found.values()} == {1}
    ids = {json.loads(value)["id"] for (value,) in found.values()}
    refused = {n for n in range(RECORDS) if n % 10 == 3}
    assert ids == {
        f"{broker.uri(source)}/0#{n}" if n in refused else f"r{n}" for n in range(RECORDS)
    }
    print(f"{killed} kills at offsets {offsets}")
