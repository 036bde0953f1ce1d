"""Missing credentials for a bucket: one line within seconds, without a traceback."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LINE = (
    "triad: gs://: no credentials of Google Cloud were found; run gcloud auth application-default "
    "login, or name a key file in GOOGLE_APPLICATION_CREDENTIALS"
)
CODE = """
import contextlib, io, json, sys
from triad_ml.pipelines.cli import main
said = []
for argv in json.loads(sys.argv[1]):
    err, out = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(out):
        code = main.main(argv)
    said.append([code, err.getvalue().splitlines(), out.getvalue()])
print(json.dumps(said))
"""


def commands(
    folder: Path, variables: dict[str, str], *argvs: list[object]
) -> list[tuple[int, list[str], str]]:
    """The code, the lines on stderr and the output of each command, all in one process."""
    without = ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS", "NO_GCE_CHECK")
    kept = {name: value for name, value in os.environ.items() if name not in without}
    places = {"HOME": str(folder), "CLOUDSDK_CONFIG": str(folder), "PYTHONPATH": str(ROOT)}
    finished = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps([[str(one) for one in argv] for argv in argvs])],
        env=kept | places | variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert finished.stderr == ""
    return [(code, lines, output) for code, lines, output in json.loads(finished.stdout)]


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A metadata server that takes what is asked and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_each_command_says_in_one_line_that_there_are_no_credentials(
    generated: Path, trained: Path, tmp_path: Path, silent: socket.socket
) -> None:
    spec = generated.parents[1] / "spec.yaml"
    place = "{}:{}".format(*silent.getsockname())
    score = ("score", "--date", "2026-11-24")
    given = ("--input", generated)
    read: list[list[object]] = [
        ["preprocess", "--spec", spec, *given, "--output", tmp_path / "data"],
        [*score, "--model", trained, *given, "--output", tmp_path / "scores"],
        ["parity", "--model", trained, *given],
        ["stream", "--model", trained, "--source", generated.parent, "--sink", tmp_path / "sink"],
    ]
    found = commands(
        tmp_path,
        {"GCE_METADATA_IP": place, "GCE_METADATA_HOST": place},
        [*score, "--model", trained, "--input", generated, "--output", "gs://b/scores"],
        [*score, "--model", trained, "--input", "gs://b/*.jsonl", "--output", tmp_path / "scores"],
        [*score, "--model", "gs://b/model", "--input", generated, "--output", tmp_path / "scores"],
        ["preprocess", "--spec", spec, "--input", "gs://b/*.jsonl", "--output", tmp_path / "data"],
        ["preprocess", "--spec", spec, "--input", generated, "--output", "gs://b/data"],
        ["gc", "--output", "gs://b/scores"],
        *([*command, "--media-root", "gs://b/media"] for command in read),
        ["doctor", "--json", "--input", "gs://b/*.jsonl", "--output", "gs://b/scores"],
    )
    *refused, (code, lines, shown) = found
    failed = [
        (code, [line for line in lines if "WARNING" not in line]) for code, lines, _ in refused
    ]
    assert failed == [(20, [LINE])] * (6 + len(read))
    told = [line for _, lines, _ in refused for line in lines if "WARNING" in line]
    assert len(told) == 2
    assert all("gs://b/*.jsonl: is not looked at before the run" in line for line in told)
    assert (code, lines) == (12, [])
    faults = {
        one["check"]: one["what"]
        for one in json.loads(shown)["findings"]
        if one["level"] == "error"
    }
    assert faults.keys() >= {"input", "output"}
    assert faults["input"].startswith("gs://: no credentials of Google Cloud were found")
    assert not list(tmp_path.iterdir())
    asked = 0
    silent.settimeout(0)
    while True:
        try:
            silent.accept()[0].close()
        except BlockingIOError:
            break
        asked += 1
    assert asked == 2  # of 2 seconds each, once for all commands


def test_a_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    ((code, (line,), _),) = commands(
        tmp_path, {"GOOGLE_APPLICATION_CREDENTIALS": str(key)}, ["gc", "--output", "gs://b/scores"]
    )
    assert code == 20
    assert line.startswith(f"triad: gs://: File {key} was not found; run gcloud auth ")
