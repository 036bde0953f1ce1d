"""Stream from Kafka to Kafka on Flink: complete output after kills and stops in the middle."""

import base64
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
from triad_ml.pipelines.runners.flink import cluster
from triad_ml.pipelines.runners.flink.cluster import Cluster
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.jobs import flink_checkpoints, local, stopping

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PART = 100  # messages between two troubles
DEADLINE = 300.0
SENT = 1_700_000_000_000
BEYOND_BEAM = 9_223_371_950_454_776  # milliseconds
TIMES = (2**63 - 1, SENT, -(2**63), BEYOND_BEAM, -BEYOND_BEAM, -1, 2**61, 0)
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


def kill_workers(flink: Cluster) -> int:
    """Kills the pool's Python workers, and gives how many there were."""
    pool = flink.processes["workers"][0]
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


@dataclasses.dataclass(frozen=True)
class Streamed:
    """Stream that went through kills and stops, and what it read and wrote.

    Attributes:
        source: Topic of the messages.
        outputs: Topics of the scores and of the rejected records.
        num_messages: Messages in the parts, before those with odd times.
        states: States of the three jobs, in the order of their starts.
    """

    source: str
    outputs: tuple[str, str]
    num_messages: int
    states: list[str]


@pytest.fixture(scope="module")
def streamed(
    trained: Path,
    generated: Path,
    started: Path,
    broker: kafka.Broker,
    fork_server: ForkServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Streamed:
    """A stream through two kills, cancel and drain, and at last messages with odd times."""
    flink, folder = cluster.up(started), tmp_path_factory.mktemp("stream")
    source = broker.topic(message_timestamp_after_max_ms=str(2**63 - 1))
    scores, rejected = broker.topic(), broker.topic()
    shutil.copytree(trained, folder / "models" / "may")
    state, picture = folder / "state", next((generated.parent / "media").glob("*.png"))
    values = {"MODELS": "models", "STATE": "state", "SOURCE": broker.uri(source)}
    values |= {"SCORES": broker.uri(scores), "REJECTED": broker.uri(rejected)}
    runbook = Runbook(values, flink, fork_server.program, folder)
    written = Output(broker, scores, rejected)
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
        (of_the_stream,) = state.glob("triad-stream-*")
        return flink_checkpoints.latest(of_the_stream)

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
    num_messages = len(sent)
    odd = [json.dumps({"id": f"t{n}", "text": "a red bird"}).encode() for n in range(len(TIMES))]
    raw = [Raw(value, time=moment) for value, moment in zip(odd, TIMES, strict=True)]
    kafka_protocol.send(broker.servers, source, raw)
    sent.extend(odd)
    written.until(all_there, "a message with a time beyond Beam's own range stops the stream")
    shown = [line.split()[1:] for line in runbook.step("triad flink jobs\n").splitlines()]
    name = shown[-1][1]
    runbook.step("triad flink cancel")
    written.close()
    states = [state for state, job in shown if job == name]
    return Streamed(source, (scores, rejected), num_messages, states)


def test_a_stream_through_kills_cancel_and_drain_gives_what_the_local_stream_gives(
    streamed: Streamed, trained: Path, broker: kafka.Broker
) -> None:
    assert streamed.states == ["CANCELED", "FINISHED", "RUNNING"]
    local_outputs = broker.topic(), broker.topic()
    source, (local_scores, local_rejected) = broker.uri(streamed.source), local_outputs
    local.run(
        StreamConfig(
            *(str(trained), source, broker.uri(local_scores), broker.uri(local_rejected)),
            group="local",
            until_empty=True,
        ),
        stopping.Stop(),
    )
    for topic, local_topic in zip(streamed.outputs, local_outputs, strict=True):
        assert rows(broker, topic) == rows(broker, local_topic)
    ids = {json.loads(key)[0] for key in rows(broker, *streamed.outputs)}
    numbers = range(streamed.num_messages)
    assert ids == {
        *(f"{source}/0#{n}" if n % 50 == 3 else f"r{n}" for n in numbers),
        *(f"t{n}" for n in range(len(TIMES))),
    }
    sizes = [len(broker.read(topic)) for topic in streamed.outputs]
    print(f"{streamed.num_messages} messages, {sum(sizes)} rows written")


def test_a_time_beyond_beams_own_range_costs_the_time_and_not_the_record(
    streamed: Streamed, broker: kafka.Broker
) -> None:
    found = [json.loads(message.value()) for message in broker.read(streamed.outputs[0])]
    times = {row["id"]: row["triad.event_time"] for row in found if row["id"].startswith("t")}
    assert times == {
        **{f"t{n}": None for n in range(len(TIMES))},
        "t1": "2023-11-14T22:13:20+00:00",
        "t7": "1970-01-01T00:00:00+00:00",
    }


def test_jobs_that_do_not_run_are_named(flink: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--folder", str(flink.folder)]
    assert main.main(["flink", "cancel", "nothing", *folder]) == 12
    assert "nothing: does not run; running: " in capsys.readouterr().err
