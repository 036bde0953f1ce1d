"""`triad stream --runner prism`: rows equal those of micro-batches; no process is left behind."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.nights import write_corpus
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.jobs import local, stopping
from triad_ml.pipelines.streaming.jobs import prism as jobs_prism
from triad_ml.pipelines.tables import formats

PATIENCE = 300.0
"""Seconds until a test gives up; nothing is asserted on how long it took."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a records file of 24, of which two are rejected, and their media."""
    return write_corpus(tmp_path_factory.mktemp("corpus") / "in").parent


def rows(sink: Path, kind: str) -> list[dict[str, Any]]:
    paths = [path for path in (sink / kind).rglob("*.parquet") if not path.name.startswith(".")]
    found = [row for path in paths for row in formats.read(str(path)).to_pylist()]
    return sorted(found, key=lambda row: (str(row.get("triad.position")), row["id"]))


def ids(sink: Path) -> set[str]:
    return {row["id"] for row in rows(sink, "scores")}


def until(condition: Callable[[], bool], alive: "subprocess.Popen[bytes] | None" = None) -> None:
    """Waits, as long as a process that is needed for it lives."""
    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        assert alive is None or alive.poll() is None
        pause.wait(0.1)


def drop(folder: Path, name: str) -> None:
    """A records file that appears whole."""
    hidden = folder / f".{name}"
    hidden.write_text(f'{{"id": "{name}", "text": "a red bird"}}\n', encoding="utf-8")
    hidden.rename(folder / name)


def start(model: Path, source: Path, sink: Path, binary: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "triad_ml.pipelines.cli.main", "stream", "--model", str(model)]
    command += ["--source", str(source), "--sink", str(sink), "--runner", "prism"]
    command += ["--prism", binary, "--poll-seconds", "0.2", "--window", "1"]
    return subprocess.Popen(command)


def prism_of(parent: int) -> int | None:
    """The Prism that a process started."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent and b"--job_port" in command and fields[0] not in "ZX":
            return int(entry.name)
    return None


def runs(pid: int) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] not in "ZX"


def test_prism_gives_the_rows_of_the_micro_batches(trained, corpus, prism_path, tmp_path):
    def config(sink: str, **more: Any) -> StreamConfig:
        fast: dict[str, Any] = {"until_empty": True, "poll_seconds": 0, "batch_records": 5}
        return StreamConfig(str(trained), str(corpus), str(tmp_path / sink), **fast, **more)

    local.run(config("local"), stopping.Stop())
    jobs_prism.run(config("prism", runner="prism", prism=prism_path), stopping.Stop())
    scores = rows(tmp_path / "prism", "scores")
    assert len(scores) == 22
    assert scores == rows(tmp_path / "local", "scores")
    assert rows(tmp_path / "prism", "rejected") == rows(tmp_path / "local", "rejected")
    assert len(rows(tmp_path / "prism", "rejected")) == 2


def test_files_are_scored_as_they_arrive_and_prism_ends_with_a_stream_that_is_killed(
    trained, prism_path, tmp_path
):
    source, sink = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    running = start(trained, source, sink, prism_path)
    try:
        drop(source, "one.jsonl")
        until(lambda: ids(sink) == {"one.jsonl"}, running)
        drop(source, "two.jsonl")
        until(lambda: ids(sink) == {"one.jsonl", "two.jsonl"}, running)
        prism = prism_of(running.pid)
        assert prism is not None
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    until(lambda: not runs(prism))

    shutil.rmtree(sink / "scores")
    again = start(trained, source, sink, prism_path)
    try:
        until(lambda: ids(sink) == {"one.jsonl", "two.jsonl"}, again)
        again.send_signal(signal.SIGTERM)
        assert again.wait(PATIENCE) == 0
    finally:
        again.kill()
        again.wait()


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ((), "--prism: is missing; build it (GOBIN=FOLDER go install github.com/apache/beam/"),
        (("--prism", "nowhere"), "--prism: nowhere: is no program; build it"),
        (("--prism", "p", "--sink", "gs://b/x"), "--sink: prism keeps its state in memory"),
        (("--prism", "p", "--source", "kafka://h:1/t"), "--source: prism keeps its state in"),
        (("--prism", "p", "--state", "s"), "--state: is not kept on prism; leave it out"),
        (("--prism", "p", "--no-wait"), "--no-wait: is of --runner flink or dataflow; leave it"),
        (("--prism", "p", "--runner", "local"), "--prism: is of --runner prism; leave it out"),
        (("--shards", "0"), "--shards: must be at least 1, got 0"),
        (("--runner", "spark"), "--runner: 'spark' is no runner of streams; use local, prism,"),
    ],
)
def test_what_prism_cannot_do_is_refused_in_one_line(tmp_path, more, line, capsys):
    given = {"--source": str(tmp_path / "in"), "--sink": str(tmp_path / "out")}
    arguments = ["stream", "--model", "model", "--runner", "prism"]
    for flag, value in given.items():
        arguments += [flag, value]
    assert main.main([*arguments, *more]) == 12
    assert capsys.readouterr().err.startswith(f"triad: {line}")
    assert not os.listdir(tmp_path)
