"""Preprocessing and scoring on a Flink session cluster: results equal those of the local runner."""

import concurrent.futures
import dataclasses
import json
import os
import select
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
import tensorflow as tf

from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.runners import beam_options, worker_errors, workers
from triad_ml.pipelines.runners.flink import cluster
from triad_ml.pipelines.runners.flink.cluster import Cluster
from triad_ml.pipelines.runtime import failures
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.sources import units
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records.values import SPLITS

pytestmark = pytest.mark.slow

DATE = "2026-11-24"


@pytest.fixture(scope="session")
def corpus(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated records with broken ones among them."""
    folder = Path(shutil.copytree(generated.parent, tmp_path_factory.mktemp("broken") / "records"))
    shutil.copy(generated.parents[1] / "spec.yaml", folder.parent)
    path = folder / generated.name
    lines = path.read_text().splitlines()
    (folder / "media" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    cut = {"image": "media/cut.png", "group": "g", "labels": {"category": "fan_faulty"}}
    broken = [
        json.dumps({"id": "cut picture", "text": "It hums.", **cut}),
        json.dumps({"id": "nothing readable", **cut}),
        json.dumps({"id": "nothing at all", "group": "g"}),
        "{no json",
        lines[0],
    ]
    path.write_text("\n".join([*lines[:60], *broken, *lines[60:]]) + "\n")
    return path


def scoring(model: Path, records: Path, output: Path, **changes: Any) -> ScoreConfig:
    return ScoreConfig(
        str(model), (str(records),), str(output), DATE, unit_records=50, rejected_limit=0.2,
        **changes,
    )  # fmt: skip


def published(output: Path) -> dict[str, bytes]:
    """The files of the run that CURRENT names, without the manifest, which has a time in it."""
    manifest = publish.current(str(output), DATE)
    assert manifest is not None
    run = publish.RunFolder(str(output), DATE, manifest.run_id)
    parts = [*manifest.scores, *manifest.rejected]
    return {part.path: Path(run.path(part.path)).read_bytes() for part in parts}


def examples(folder: Path, split: str) -> list[bytes]:
    files = [str(path) for path in (folder / split).glob("*.tfrecord.gz")]
    found = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
    return sorted(
        tf.train.Example.FromString(one).SerializeToString(deterministic=True) for one in found
    )


def worker_starts(flink: Cluster) -> int:
    return (flink.folder / "workers.log").read_text().count("Starting worker")


def wait_for_line(log: Path, behind: int, words: str) -> None:
    """Reads a log as it grows, until a line behind so many bytes holds the words."""
    command = ["tail", f"--bytes=+{behind + 1}", "--follow", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None
        assert any(words in line for line in tail.stdout)
        tail.kill()


def kill(process_id: int) -> None:
    """Kills a process, and returns when it has ended."""
    handle = os.pidfd_open(process_id)
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        assert select.select([handle], [], [], 120)[0]
    finally:
        os.close(handle)


def test_preprocessing_gives_the_examples_and_the_digest_of_the_local_runner(
    corpus: Path, flink: Cluster, tmp_path: Path
) -> None:
    local = PreprocessConfig(
        str(corpus.parents[1] / "spec.yaml"), (str(corpus),), str(tmp_path / "local"), shards=2
    )
    spread = dataclasses.replace(
        local, output=str(tmp_path / "flink"), runner="flink", beam_args=flink.beam_args
    )
    before = worker_starts(flink)
    manifests = [
        json.loads(Path(preprocessing_run.run(config)).read_text()) for config in (local, spread)
    ]
    assert worker_starts(flink) - before == 2  # two jobs, of a dozen stages each
    assert manifests[0]["rejected"] == {
        "duplicate_id": 1, "empty": 1, "unparsable": 1, "unreadable": 1
    }  # fmt: skip
    for name in ("transform_digest", "counts", "rejected", "issues", "classes", "digests"):
        assert manifests[1][name] == manifests[0][name]
    for split in SPLITS:
        assert examples(tmp_path / "flink", split) == examples(tmp_path / "local", split) != []


@pytest.mark.timeout(600)
def test_scores_are_those_of_the_local_runner_though_a_task_manager_is_killed(
    corpus: Path, trained: Path, flink: Cluster, tmp_path: Path
) -> None:
    few = corpus.with_name("few.jsonl")
    few.write_text("".join(corpus.read_text().splitlines(keepends=True)[:20]))
    local, output = tmp_path / "local", tmp_path / "flink"
    scoring_run.run(scoring(trained, corpus, local))
    scoring_run.run(scoring(trained, few, output))
    old = published(output)
    config = scoring(trained, corpus, output, runner="flink", beam_args=flink.beam_args)

    log = flink.folder / "taskmanager.log"
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        behind = log.stat().st_size
        running = pool.submit(scoring_run.run, config)
        wait_for_line(log, behind, "switched from INITIALIZING to RUNNING")
        kill(flink.processes["taskmanager"][0])
        assert not flink.running["taskmanager"]
        restarted = cluster.up(flink.folder)
        error = running.exception()
    assert error is not None
    failure = failures.explain(error)
    assert failure is not None
    assert (failure.exit_code, len(failure.lines)) == (20, 1)
    assert published(output) == old

    before = worker_starts(restarted)
    scoring_run.run(config)
    assert published(output) == published(local)
    assert worker_starts(restarted) - before == 1


def test_a_worker_unlike_the_submitting_process_is_refused_with_the_local_exit_code(
    flink: Cluster,
) -> None:
    expected = workers.fingerprint() | {"keras": "0.0"}
    root = beam.Pipeline(options=beam_options.beam_options("flink", flink.beam_args))
    one = root | beam.Create([units.Unit(0, "/records.jsonl", 0, 1)], reshuffle=False)
    _ = one | workers.CheckWorkers(units.Unit, expected)
    with (
        pytest.raises(OptionsError, match="worker: has keras .*submitted with 0.0") as caught,
        worker_errors.raised("flink"),
    ):
        root.run().wait_until_finish()
    failure = failures.explain(caught.value)
    assert failure is not None
    assert (failure.exit_code, len(failure.lines)) == (12, 1)
    assert "while running" not in failure.lines[0]
