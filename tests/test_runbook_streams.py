"""Runbook of streams: its commands run; metrics and alerts exist."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests import kafka
from tests.reliability.forkserver import ForkServer
from triad_ml.pipelines.streaming import metrics

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "runbooks/streams.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
DEADLINE = 300.0
Shells = list[subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka.Broker]:
    with kafka.broker(tmp_path_factory.mktemp("kafka")) as started:
        yield started


@pytest.fixture
def shells() -> Iterator[Shells]:
    """Returns a list for shells with streams; streams that still run end with the test."""
    started: Shells = []
    yield started
    for shell in started:
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()


def block(words: str) -> str:
    """Returns the only block that has these words."""
    (found,) = (content for content in BLOCKS[1:] if words in content)
    return found


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline
        pause.wait(0.1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_its_commands_do_what_it_says(
    text_model: Path, broker: kafka.Broker, fork_server: ForkServer, shells: Shells, tmp_path: Path
) -> None:
    source, scores, rejected = broker.topic(), broker.topic(), broker.topic()
    for name in ("may", "june"):
        shutil.copytree(text_model, tmp_path / "models" / name)
    (tmp_path / "models" / "CURRENT").write_text("may\n")
    (tmp_path / "golden.jsonl").write_text('{"id": "g", "text": "a red bird"}\n')
    values = {
        "MODELS": "models",
        "GOLDEN": "golden.jsonl",
        "SOURCE": broker.uri(source),
        "SCORES": broker.uri(scores),
        "REJECTED": broker.uri(rejected),
        "METRICS": "triad.prom",
    }
    assert re.findall(r"^(\w+)=", BLOCKS[0], flags=re.MULTILINE) == list(values)
    head = "".join(f"{name}={value}\n" for name, value in values.items())
    done = []
    path = f"{fork_server.program.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}

    def step(words: str) -> str:
        done.append(block(words))
        finished = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", head + done[-1]],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, f"{finished.stdout[-2000:]}\n{finished.stderr[-2000:]}"
        return finished.stdout

    def start() -> None:
        """Runs the block that starts a background process; its shell stays as the parent."""
        done.append(block(">> stream.log 2>&1 &"))
        written = tmp_path / "stream.pid"
        written.unlink(missing_ok=True)
        shells.append(
            subprocess.Popen(
                ["bash", "-uo", "pipefail", "-c", f"{head}{done[-1]}wait\n"],
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )
        until(lambda: written.exists() and written.read_text().endswith("\n"))

    def ids(topic: str) -> list[str]:
        return [json.loads(message.value())["id"] for message in broker.read(topic)]

    def said(words: str) -> bool:
        return words in (tmp_path / "stream.log").read_text()

    good = [json.dumps({"id": f"r{n}", "text": "a red bird"}).encode() for n in range(3)]
    broker.send(source, [good[0], b"no json"])
    start()
    until(lambda: broker.committed(source, "triad") == 2)
    assert ids(scores) == ["r0"]
    until((tmp_path / "triad.prom").exists)
    shown = [line.split()[0] for line in step("grep -E").splitlines()]
    assert shown == [
        "triad_stream_oldest_seconds",
        "triad_stream_behind",
        "triad_stream_alive_timestamp_seconds",
    ]
    step("kill -KILL")
    assert not said("ended: ")

    broker.send(source, [good[1]])
    start()
    until(lambda: "r1" in ids(scores))
    step('release "$MODELS/june"')
    assert (tmp_path / "models" / "CURRENT").read_text() == "june\n"
    until(lambda: said("instead of may"))
    step('release "$MODELS/may"')
    until(lambda: said("instead of june"))
    step("kill -TERM")
    assert said("ended: 1 read, 1 scored, 0 rejected")

    broker.send(source, [good[2]])
    step("--until-empty")
    assert ids(scores) == ["r0", "r1", "r2"]
    step("triad replay")
    refused = [json.loads(message.value())["source"] for message in broker.read(rejected)]
    assert refused == [f"{broker.uri(source)}/0#1"] * 2  # as broken as before
    assert set(done) == set(BLOCKS[1:])


def test_every_metric_is_in_the_table_and_no_other():
    table = PAGE.partition("| Metric | Meaning |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"`(triad_\w+)`", table)) == metrics.names()


def test_alerts_name_metrics_that_there_are():
    (content,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    (group,) = yaml.safe_load(content)["groups"]
    assert [rule["alert"] for rule in group["rules"]] == [
        "StreamIsGone",
        "StreamIsLate",
        "StreamFallsBehind",
        "StreamRejects",
        "StreamLosesMessages",
        "ATransactionHoldsBack",
        "StreamLosesMedia",
        "StreamRefusesTheModel",
    ]
    named = {name for rule in group["rules"] for name in re.findall(r"triad_\w+", rule["expr"])}
    assert named
    assert named <= set(metrics.names())
    assert all(rule["annotations"]["summary"] for rule in group["rules"])


def test_its_links_lead_to_sections():
    headings = re.findall(r"^#+ (.+)$", PAGE, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors
