"""Remote workers: absolute paths, equal code, and translated errors."""

import dataclasses
import shutil

import apache_beam as beam
import grpc
import pytest
from apache_beam.testing import util

from triad_ml.pipelines.runners import beam_options, worker_errors, workers
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.sources import units
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.transforms import hashing
from triad_ml.transforms.errors import GateError, OptionsError, StorageError

FILES = [
    str(path.relative_to(hashing.ROOT))
    for package in ("transforms", "model", "pipelines")
    for path in sorted((hashing.ROOT / package).rglob("*.py"))
]
UNIT = units.Unit(0, "/records.jsonl", 0, 1)
REMOTE = """java.lang.RuntimeException: Error received from SDK harness for instruction 7: \
Traceback (most recent call last):
  File "worker.py", line 1, in execute
"""


def score_config(**changes):
    settings = {"model": "model", "inputs": ("a/*.jsonl", "gs://b/c.jsonl"), "output": "out"}
    return ScoreConfig(date="2026-11-24", **settings | changes)


def test_paths_of_a_cluster_are_absolute_and_uris_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = workers.with_full_paths(score_config(runner="flink", media_roots=("media",)))
    assert found.inputs == (f"{tmp_path}/a/*.jsonl", "gs://b/c.jsonl")
    assert (found.model, found.output) == (f"{tmp_path}/model", f"{tmp_path}/out")
    assert found.media_roots == (f"{tmp_path}/media",)


@pytest.mark.parametrize(
    "uri", ["file:/in/a%20b", "file:///in/a%20b", "file://localhost/in/a%20b", "/in/./a b"]
)
def test_each_spelling_of_a_local_path_is_one_path(uri):
    found = workers.with_full_paths(score_config(runner="flink", output=uri, media_roots=(uri,)))
    assert (found.output, *found.media_roots) == ("/in/a b", "/in/a b")


def test_paths_of_the_local_runner_stay():
    assert workers.with_full_paths(score_config()) == score_config()


def test_a_stream_has_full_paths_of_what_its_workers_open(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    topics = [f"kafka://h:1/{name}" for name in ("in", "out", "rejected")]
    config = StreamConfig("m", *topics, state="s", runner="flink", media_roots=("media",))
    found = workers.with_full_paths(config)
    assert (found.model, found.media_roots) == (f"{tmp_path}/m", (f"{tmp_path}/media",))
    assert dataclasses.replace(found, model="m", media_roots=("media",)) == config


def test_an_equal_worker_hands_units_on():
    with beam.Pipeline(options=beam_options.beam_options()) as root:
        checked = root | beam.Create([UNIT], reshuffle=False) | workers.CheckWorkers(units.Unit)
        util.assert_that(checked, util.equal_to([UNIT]))


@pytest.fixture(scope="module")
def copied_code(tmp_path_factory):
    """The real files, and their digest."""
    root = tmp_path_factory.mktemp("code")
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(hashing.ROOT / name, root / name)
    return root, hashing.code_digest(root, workers.PACKAGES)


def test_equal_files_elsewhere_are_equal_code(copied_code):
    assert copied_code[1] == workers.fingerprint()["code"]


@pytest.mark.parametrize("name", FILES)
def test_a_changed_line_of_any_file_is_other_code(name, copied_code):
    root, before = copied_code
    content = (root / name).read_bytes()
    (root / name).write_bytes(content + b"# changed\n")
    changed = hashing.code_digest(root, workers.PACKAGES)
    (root / name).write_bytes(content)
    assert changed != before


@pytest.mark.parametrize("name", ["code", "tensorflow", "python"])
def test_a_worker_with_other_code_or_libraries_is_refused(name):
    expected = workers.fingerprint() | {name: "other"}
    with (
        pytest.raises(OptionsError, match=f"worker: has {name} .* submitted with other; install"),
        beam.Pipeline(options=beam_options.beam_options()) as root,
    ):
        _ = root | beam.Create([UNIT], reshuffle=False) | workers.CheckWorkers(units.Unit, expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"{REMOTE}triad_ml.transforms.errors.GateError: unit 3: 2 were read; run again",
            GateError("unit 3: 2 were read; run again"),
        ),
        (
            f"{REMOTE}triad_ml.transforms.errors.OptionsError: /m: no model "
            "[while running 'Score']",
            OptionsError("/m: no model [while running 'Score']"),
        ),
        (
            f"{REMOTE}OSError: [Errno 28] No space left on device: '/out/part'",
            OSError(28, "No space left on device", "/out/part"),
        ),
    ],
)
def test_errors_of_workers_come_back_as_they_were(text, expected):
    with pytest.raises(type(expected)) as caught, worker_errors.raised("flink"):
        raise RuntimeError(text)
    assert str(caught.value) == str(expected)


def test_a_cluster_that_breaks_is_no_bug():
    with (
        pytest.raises(StorageError, match="cluster: .* TaskManager x is lost; look into its logs"),
        worker_errors.raised("flink"),
    ):
        raise RuntimeError("Pipeline job failed:\n TaskManager x is lost")


def test_a_job_server_that_does_not_answer_is_named_with_its_remedy():
    with (
        pytest.raises(StorageError, match=r"job server: does not answer; .*triad flink up"),
        worker_errors.raised("flink"),
    ):
        raise grpc.FutureTimeoutError


def test_bugs_stay_bugs():
    with pytest.raises(RuntimeError, match="KeyError"), worker_errors.raised("flink"):
        raise RuntimeError(f"{REMOTE}KeyError: 'x'")


def test_errors_of_the_local_runner_are_left_as_they_are():
    with pytest.raises(RuntimeError), worker_errors.raised("local"):
        raise RuntimeError("triad_ml.transforms.errors.GateError: told by somebody else")


def test_flink_has_defaults_that_may_be_replaced():
    given = ("--job_endpoint=other:1", "--parallelism=2")
    found = beam_options.beam_options("Flink", given).get_all_options(drop_default=True)
    assert found["job_endpoint"] == "other:1"
    assert found["environment_config"] == "localhost:50000"
    assert found["environment_cache_millis"] == "600000"
