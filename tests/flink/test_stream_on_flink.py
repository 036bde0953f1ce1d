"""Stream from Kafka to Kafka on Flink: complete output after kills and stops in the middle."""

import base64
import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests import kafka, kafka_protocol
from tests.flink.test_flink_jobs import kill
from tests.kafka_protocol import Raw
from tests.reliability.forkserver import ForkServer
from tests.sockets import listening
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.runners.flink import rest
from triad_ml.pipelines.runners.flink.cluster import Cluster
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.jobs import flink_checkpoints, local, stopping

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PART = 300  # messages between two troubles
DEADLINE = 300.0
SENT = 1_700_000_000_000
BEYOND_BEAM = 9_223_371_950_454_776  # milliseconds
ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "runbooks/streams.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


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


class Output:
    """What topics of one partition hold, read on as they grow."""

    def __init__(self, broker: kafka.Broker, *topics: str) -> None:
        settings = {"bootstrap.servers": broker.servers, "group.id": "output"}
        self._consumer = Consumer({**settings, "enable.auto.commit": False})
        self._consumer.assign([TopicPartition(topic, 0, 0) for topic in topics])
        self.keys: set[bytes] = set()

    def until(self, seen: Callable[[], bool], what: str) -> None:
        """Reads until `seen`, which is asked after each message, and at least once a second."""
        deadline = time.monotonic() + DEADLINE
        while not seen():
            assert time.monotonic() < deadline, what
            message = self._consumer.poll(1.0)
            if message is not None and message.error() is None:
                self.keys.add(message.key())

    def close(self) -> None:
        self._consumer.close()


@pytest.fixture
def output(broker: kafka.Broker) -> Iterator[Callable[..., Output]]:
    """Makes outputs, and closes them."""
    with contextlib.ExitStack() as opened:
        yield lambda *topics: opened.enter_context(contextlib.closing(Output(broker, *topics)))


def kill_workers(cluster: Cluster) -> int:
    """Kills the pool's Python workers, and gives how many there were."""
    pool = cluster.processes["workers"][0]
    threads = Path(f"/proc/{pool}/task").glob("*/children")  # each has children of its own
    children = [child for thread in threads for child in thread.read_text().split()]
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    return len(children)


@dataclasses.dataclass(frozen=True)
class Runbook:
    """Runs the blocks of the runbook's part on Flink, with the values of a test."""

    values: Mapping[str, str]
    flink: Cluster
    triad: Path
    folder: Path

    def step(self, words: str) -> str:
        """Runs the one block that holds these words, and gives what it prints."""
        (content,) = (block for block in BLOCKS if words in block)
        beam = " ".join(self.flink.beam_args)
        head = "".join(f"{name}={value}\n" for name, value in self.values.items())
        head += f'flink() {{ {self.triad} flink "$@" --folder {self.flink.folder}; }}\n'
        head += f'stream() {{ {self.triad} stream "$@" -- {beam}; }}\ntriad() {{ "$@"; }}\n'
        finished = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", head + content],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, f"{finished.stdout[-2000:]}\n{finished.stderr[-2000:]}"
        return finished.stdout


def test_a_stream_through_kills_cancel_and_drain_gives_what_the_local_stream_gives(
    trained: Path,
    generated: Path,
    flink: Cluster,
    broker: kafka.Broker,
    fork_server: ForkServer,
    output: Callable[..., Output],
    tmp_path: Path,
) -> None:
    source, scores, rejected = broker.topic(), broker.topic(), broker.topic()
    shutil.copytree(trained, tmp_path / "models" / "may")
    state, picture = tmp_path / "state", next((generated.parent / "media").glob("*.png"))
    values = {"MODELS": "models", "STATE": "state", "SOURCE": broker.uri(source)}
    values |= {"SCORES": broker.uri(scores), "REJECTED": broker.uri(rejected)}
    runbook = Runbook(values, flink, fork_server.program, tmp_path)
    written = output(scores, rejected)
    sent: list[bytes] = []

    def send() -> None:
        part = messages(len(sent) // PART, picture.read_bytes())
        broker.send(source, part)
        sent.extend(part)

    def all_there() -> bool:
        return len(written.keys) == len(sent)

    def some_of_the_last_part() -> bool:
        return len(written.keys) > len(sent) - PART

    send()
    runbook.step('--state "$STATE" --no-wait\n')
    written.until(all_there, "the first part does not come")
    of_the_job = listening(flink.processes["taskmanager"][0])
    assert len(of_the_job) > 5  # Flink's own, and those that Python's workers are told of
    assert {address for address, _ in of_the_job} == {"127.0.0.1"}

    send()
    written.until(some_of_the_last_part, "the stream stands still before the kill of a worker")
    send()
    assert kill_workers(flink)
    written.until(all_there, "the stream does not come back after the kill of a worker")

    send()
    written.until(some_of_the_last_part, "the stream stands still before the TaskManager is killed")
    send()
    kill(flink.processes["taskmanager"][0])
    assert "taskmanager: runs" in runbook.step("triad flink up")
    written.until(all_there, "the stream does not come back after the kill of the TaskManager")

    def kept() -> Path | None:
        (folder,) = state.glob("triad-stream-*")  # of the one stream
        return flink_checkpoints.latest(folder)

    written.until(lambda: kept() is not None, "no checkpoint is made")
    assert "CANCELED" in runbook.step("triad flink cancel")
    assert kept() is not None
    send()
    runbook.step("--from-checkpoint latest")
    written.until(all_there, "the stream does not go on from its checkpoint")

    assert "savepoint: " in runbook.step("triad flink drain")
    latest = kept()
    assert latest is not None
    assert latest.name.startswith("savepoint-")
    send()
    runbook.step("--from-checkpoint latest")
    written.until(all_there, "the stream does not go on from its savepoint")
    shown = [line.split()[1:] for line in runbook.step("triad flink jobs\n").splitlines()]
    name = shown[-1][1]
    assert [state for state, job in shown if job == name] == ["CANCELED", "FINISHED", "RUNNING"]
    runbook.step("triad flink cancel")

    local_scores, local_rejected = broker.topic(), broker.topic()
    local.run(
        StreamConfig(
            *(str(trained), broker.uri(source)),
            *(broker.uri(local_scores), broker.uri(local_rejected)),
            group="local",
            until_empty=True,
        ),
        stopping.Stop(),
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


def test_a_time_beyond_beams_own_range_costs_the_time_and_not_the_record(
    trained: Path,
    flink: Cluster,
    broker: kafka.Broker,
    output: Callable[..., Output],
    tmp_path: Path,
) -> None:
    source = broker.topic(message_timestamp_after_max_ms=str(2**63 - 1))
    scores, rejected = broker.topic(), broker.topic()
    times = [2**63 - 1, SENT, -(2**63), BEYOND_BEAM, -BEYOND_BEAM, -1, 2**61, 0]
    sent = [
        Raw(json.dumps({"id": f"r{n}", "text": "a red bird"}).encode(), time=one)
        for n, one in enumerate(times)
    ]
    kafka_protocol.send(broker.servers, source, sent)
    arguments = ["stream", "--runner", "flink", "--model", str(trained), "--no-wait"]
    arguments += ["--source", broker.uri(source), "--sink", broker.uri(scores)]
    arguments += ["--rejected", broker.uri(rejected), "--state", str(tmp_path / "state")]
    assert main.main([*arguments, "--", *flink.beam_args]) == 0
    written = output(scores, rejected)
    written.until(lambda: len(written.keys) == len(times), "a message stops the stream")
    (job,) = (one for one in rest.jobs(flink.dashboard) if one.state == "RUNNING")
    rest.cancel(flink.dashboard, job.id)
    found = [json.loads(message.value()) for message in broker.read(scores)]
    assert {row["id"]: row["triad.event_time"] for row in found} == {
        **{f"r{n}": None for n in range(len(times))},
        "r1": "2023-11-14T22:13:20+00:00",
        "r7": "1970-01-01T00:00:00+00:00",
    }


def test_jobs_that_do_not_run_are_named(flink: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--folder", str(flink.folder)]
    assert main.main(["flink", "cancel", "nothing", *folder]) == 12
    assert "nothing: does not run; running: " in capsys.readouterr().err
