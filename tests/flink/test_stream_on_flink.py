"""Kafka to Kafka on Flink, killed and ended in the middle: what is there is what should be."""

import base64
import dataclasses
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines import cli, flink_cluster, flink_jobs, stream, stream_on_flink
from pipelines.flink_cluster import Cluster
from pipelines.stream_config import StreamConfig
from pipelines.streaming import checkpoints
from tests import kafka
from tests.flink.test_flink_jobs import kill

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PART = 600  # messages between two troubles
DEADLINE = 300.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka.Broker]:
    with kafka.broker(tmp_path_factory.mktemp("kafka")) as started:
        yield started


def messages(part: int, picture: bytes) -> list[bytes]:
    """Seeded messages: one in 50 is no JSON, one in 25 has a broken picture."""
    whole = base64.b64encode(picture).decode()
    found = []
    for n in range(part * PART, (part + 1) * PART):
        record = {"id": f"r{n}", "text": f"pump {n % 7} hums"}
        if n % 25 == 4:
            record |= {"image": {"base64": whole[: len(whole) // 2]}}
        elif n % 25 == 5:
            record |= {"image": {"base64": whole}}
        found.append(b"{no json" if n % 50 == 3 else json.dumps(record).encode())
    return found


def rows(broker: kafka.Broker, *topics: str) -> dict[bytes, set[bytes]]:
    """All values of each key."""
    found: dict[bytes, set[bytes]] = {}
    for topic in topics:
        for message in broker.read(topic):
            found.setdefault(message.key(), set()).add(message.value())
    return found


def until(seen: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not seen():
        assert time.monotonic() < deadline, what


def kill_workers(cluster: Cluster) -> int:
    """Kills the pool's Python workers, and gives how many there were."""
    pool = cluster.processes["workers"][0]
    threads = Path(f"/proc/{pool}/task").glob("*/children")  # each has children of its own
    children = [child for thread in threads for child in thread.read_text().split()]
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    return len(children)


def test_a_stream_through_kills_drain_and_cancel_gives_what_the_local_stream_gives(
    trained: Path, generated: Path, flink: Cluster, broker: kafka.Broker, tmp_path: Path
) -> None:
    source, scores, rejected = broker.topic(), broker.topic(), broker.topic()
    state, picture = tmp_path / "state", next((generated.parent / "media").glob("*.png"))
    config = StreamConfig(
        *(str(trained), broker.uri(source), broker.uri(scores), broker.uri(rejected)),
        **{"state": str(state), "group": "flink", "runner": "flink", "no_wait": True},
        **{"batch_records": 96, "batch_seconds": 0.05, "checkpoint_seconds": 1.0},
        beam_args=flink.beam_args,
    )
    name = checkpoints.stream_name(config)
    sent: list[bytes] = []

    def send() -> None:
        part = messages(len(sent) // PART, picture.read_bytes())
        broker.send(source, part)
        sent.extend(part)

    def all_there() -> bool:
        return len(rows(broker, scores, rejected)) == len(sent)

    def some_of_the_last_part() -> bool:
        return len(rows(broker, scores, rejected)) > len(sent) - PART

    send()
    stream_on_flink.run(config)
    until(all_there, "the first part does not come")

    send()
    until(some_of_the_last_part, "the stream stands still before the kill of a worker")
    assert kill_workers(flink)
    until(all_there, "the stream does not come back after the kill of a worker")

    send()
    until(some_of_the_last_part, "the stream stands still before the kill of the TaskManager")
    kill(flink_cluster.read(flink.folder).processes["taskmanager"][0])
    flink_cluster.up(flink.folder)
    until(all_there, "the stream does not come back after the kill of the TaskManager")

    flink_jobs.cancel(flink.dashboard, name)
    assert checkpoints.latest(state) is not None
    send()
    stream_on_flink.run(dataclasses.replace(config, from_checkpoint="latest"))
    until(all_there, "the stream does not go on from its checkpoint")

    assert (
        cli.main(["flink", "drain", name, "--state", str(state), "--folder", str(flink.folder)])
        == 0
    )
    latest = checkpoints.latest(state)
    assert latest is not None
    assert latest.name.startswith("savepoint-")
    send()
    stream_on_flink.run(dataclasses.replace(config, from_checkpoint="latest"))
    until(all_there, "the stream does not go on from its savepoint")
    flink_jobs.cancel(flink.dashboard, name)

    local_scores, local_rejected = broker.topic(), broker.topic()
    stream.run(
        StreamConfig(
            *(str(trained), broker.uri(source)),
            *(broker.uri(local_scores), broker.uri(local_rejected)),
            **{"group": "local", "until_empty": True},
        ),
        stream.Stop(),
    )
    assert rows(broker, scores) == rows(broker, local_scores)
    assert rows(broker, rejected) == rows(broker, local_rejected)
    ids = {json.loads(key)[0] for key in rows(broker, scores, rejected)}
    refused = {n for n in range(len(sent)) if n % 50 == 3}
    assert ids == {
        f"{broker.uri(source)}/0#{n}" if n in refused else f"r{n}" for n in range(len(sent))
    }
    sizes = [len(broker.read(topic)) for topic in (scores, rejected)]
    print(f"{len(sent)} messages, {sum(sizes)} rows written")


def test_jobs_that_do_not_run_are_named(flink: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--folder", str(flink.folder)]
    assert cli.main(["flink", "cancel", "nothing", *folder]) == 12
    assert "nothing: does not run; running: " in capsys.readouterr().err
