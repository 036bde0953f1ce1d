"""The real commands on a machine that is not as they wish: one line, the right code, no ruins."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import printed
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.tables import formats

ROOT = Path(__file__).resolve().parents[2]
DATE = "2026-11-24"
FILE_LIMIT = 8 * 2**10
"""Bytes that a file may hold where the disk is full: the system refuses the next one."""


def full_disk() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, FILE_LIMIT))


def triad(
    *arguments: object, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "triad_ml.pipelines.cli.main", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=before,
        capture_output=True,
        text=True,
        check=False,
    )


def refusal(finished: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line that a failed command says to its user; what else is there are log lines."""
    assert finished.returncode == code, finished.stderr
    assert finished.stdout == ""
    assert "Traceback" not in finished.stderr
    said = [line for line in finished.stderr.splitlines() if line.startswith("triad: ")]
    assert said == finished.stderr.splitlines()[-1:], finished.stderr
    assert printed.foreign(finished.stderr) == []
    return said[0].removeprefix("triad: ")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def spec(generated: Path) -> Path:
    return generated.parents[1] / "spec.yaml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A regular file: whoever asks for a folder below it, root too, is refused by the system."""
    path = tmp_path / "file"
    path.write_text("this is no folder\n")
    return path


class TestWrongInput:
    """What the user named is not there, or not what it should be."""

    def test_a_wrong_spec(self, generated: Path, spec: Path, tmp_path: Path) -> None:
        wrong = tmp_path / "spec.yaml"
        wrong.write_text(spec.read_text().replace("sample_rate:", "sample_rte:"))
        output = tmp_path / "data"
        finished = triad("preprocess", "--spec", wrong, "--input", generated, "--output", output)
        assert refusal(finished, 12) == (
            f"{wrong}: modalities.audio.sample_rte: unknown key; did you mean 'sample_rate'?"
        )
        assert not output.exists()

    def test_a_records_file_that_is_not_there(self, trained: Path, tmp_path: Path) -> None:
        missing, output = tmp_path / "missing.jsonl", tmp_path / "scores"
        finished = triad(
            *("score", "--model", trained, "--input", missing, "--output", output, "--date", DATE)
        )
        assert refusal(finished, 12) == (
            f"{missing}: no file matches; give a path or pattern of records files"
        )
        assert not output.exists()

    def test_a_folder_that_is_no_model(
        self, generated: Path, prepared: Path, tmp_path: Path
    ) -> None:
        output = tmp_path / "scores"
        finished = triad(
            *("score", "--model", prepared, "--input", generated, "--output", output),
            *("--date", DATE),
        )
        assert refusal(finished, 12) == (
            f"{prepared}: is no model folder (triad.json is missing or broken); "
            "name one that `triad train --output` wrote"
        )
        assert not output.exists()

    def test_a_model_of_which_a_byte_is_not_as_it_was(
        self, generated: Path, own_model: Path, tmp_path: Path
    ) -> None:
        path = own_model / "saved_model" / "saved_model.pb"
        path.write_bytes(path.read_bytes()[:-1])
        finished = triad(
            *("score", "--model", own_model, "--input", generated, "--output", tmp_path / "scores"),
            *("--date", DATE),
        )
        assert refusal(finished, 10) == (
            f"{path}: is not the file that was exported; "
            "take the whole folder from its source again"
        )


class TestOutputThatCannotBeWritten:
    """A folder below a regular file stands for every place where nothing may be written."""

    def test_preprocess(self, generated: Path, spec: Path, file: Path) -> None:
        finished = triad(
            *("preprocess", "--spec", spec, "--input", generated, "--output", file / "data")
        )
        said = refusal(finished, 20)
        assert said.startswith(f"{file}")
        assert ": not a directory; " in said
        assert file.read_text() == "this is no folder\n"

    def test_train(self, prepared: Path, file: Path) -> None:
        finished = triad("train", "--data", prepared, "--output", file / "model")
        said = refusal(finished, 20)
        assert said.startswith(f"{file}")
        assert ": not a directory; " in said

    def test_score(self, generated: Path, trained: Path, file: Path) -> None:
        finished = triad(
            *("score", "--model", trained, "--input", generated, "--output", file / "scores"),
            *("--date", DATE),
        )
        said = refusal(finished, 20)
        assert said.startswith(f"{file}")
        assert said.endswith("; a part of the path is a file; choose another place")


class TestFullDisk:
    """What was there before stays, and what is new is whole or not there."""

    def test_preprocess(self, generated: Path, spec: Path, tmp_path: Path) -> None:
        output = tmp_path / "data"
        finished = triad(
            *("preprocess", "--spec", spec, "--input", generated, "--output", output),
            before=full_disk,
        )
        assert "file too large; raise the limit on file sizes" in refusal(finished, 20)
        assert list(tmp_path.iterdir()) == []

    def test_train(self, prepared: Path, tmp_path: Path) -> None:
        output = tmp_path / "model"
        finished = triad("train", "--data", prepared, "--output", output, before=full_disk)
        said = refusal(finished, 20)
        assert said.startswith(f"{output}/training/")
        assert ": File too large; make room or permit writing" in said
        assert not (output / "triad.json").exists()
        assert not (output / "saved_model").exists()

    def test_score(
        self,
        generated: Path,
        trained: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        inputs = shutil.copytree(generated.parent, tmp_path / "records")
        records = inputs / "records.jsonl"
        first = "\n".join(records.read_text().splitlines()[:20])
        (inputs / "few.jsonl").write_text(first)
        output = tmp_path / "scores"
        scoring_run.run(ScoreConfig(str(trained), (str(inputs / "few.jsonl"),), str(output), DATE))
        before = tree(output)
        finished = triad(
            *("score", "--model", trained, "--input", records, "--output", output),
            *("--date", DATE, "--format", "jsonl"),
            before=full_disk,
        )
        assert "file too large; raise the limit on file sizes" in refusal(finished, 20)
        after = tree(output)
        assert {path: after[path] for path in before} == before
        (part,) = publish.open_current(str(output), DATE)
        assert len(formats.read(part)) == 20
        again = ["score", "--model", str(trained), "--input", str(records), "--output", str(output)]
        assert main.main([*again, "--date", DATE, "--format", "jsonl"]) == 0
        manifest = publish.current(str(output), DATE)
        assert manifest is not None
        assert manifest.counts == {"read": 120, "scored": 120, "rejected": 0}
        said = capsys.readouterr().out.splitlines()
        assert said[-1].endswith(f"run={manifest.run_id}/manifest.json")
        assert not [path for path in tree(output) if ".tmp-" in path]


class TestOthersSilence:
    """Who did not ask for more hears this project, and none of the libraries that it calls.

    `preprocess`, `train`, `parity`, `score` and `report` are asked by the test of the README.
    """

    def test_what_works_says_nothing_or_speaks_for_itself(
        self, generated: Path, spec: Path, trained: Path, tmp_path: Path
    ) -> None:
        output = tmp_path / "scores"
        model, records = ("--model", trained), ("--input", generated)
        scoring_run.run(ScoreConfig(str(trained), (str(generated),), str(output), DATE))
        commands = [
            ("--help",),
            ("spec", "check", spec),
            ("doctor", *model, *records, "--output", output),
            ("rollback", "--output", output, "--date", DATE),
            ("gc", "--output", output),
            ("explain-digest", trained, trained),
        ]
        foreign = {command[0]: printed.foreign(triad(*command).stderr) for command in commands}
        assert foreign == {command[0]: [] for command in commands}
