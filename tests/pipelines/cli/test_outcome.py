"""Ends of commands for machines: one line of JSON, metrics, and no other output with --quiet."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from triad_ml.model import stages
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.storage import json_files, outcome
from triad_ml.pipelines.storage.outcome import Outcome

SCORE = ["score", "--model", "m", "--input", "i", "--output", "o", "--date", "2026-11-24"]
PREPROCESS = ["preprocess", "--spec", "s.yaml", "--input", "i", "--output", "o"]
TRAIN = ["train", "--data", "d", "--output", "o"]
MANIFEST = {
    "counts": {"read": 12, "scored": 9, "rejected": 3},
    "reasons": {"no_media": 2, "duplicate": 1},
    "media": {"image": {"had": 9, "flaws": {"forbidden": 4}}, "text": {"had": 12, "flaws": {}}},
    "more": "is not read",
}


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    """A manifest of scores, as far as an outcome reads it."""
    path = tmp_path / "manifest.json"
    json_files.write(path, MANIFEST)
    return str(path)


def returning(result: object) -> Callable[..., object]:
    """Returns a call of a use case that gives a result without running it."""
    return lambda function, *arguments: result


def values(path: Path) -> dict[tuple[str, ...], float]:
    """All samples of a file of metrics: name and values of the labels -> value."""
    families = text_string_to_metric_families(path.read_text(encoding="utf-8"))
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_last_line_of_a_scoring_is_its_outcome_as_json(
    manifest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call = returning(SimpleNamespace(manifest_uri=manifest))
    assert main.main(SCORE, call) == 0
    assert capsys.readouterr().out == f"{manifest}\n"
    assert main.main([*SCORE, "--json"], call) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "command": "score",
        "result": manifest,
        "complete": True,
        "records": MANIFEST["counts"],
        "rejected": MANIFEST["reasons"],
        "media": MANIFEST["media"],
        "figures": {},
    }


def test_a_job_that_was_only_submitted_is_not_complete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing, file = str(tmp_path / "later.json"), tmp_path / "night.prom"
    call = returning(SimpleNamespace(manifest_uri=missing))
    assert main.main([*SCORE, "--json", "--metrics", str(file)], call) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["result"], found["complete"], found["records"]) == (missing, False, {})
    assert values(file) == {("triad_batch_complete", "score"): 0.0}


def test_metrics_have_the_numbers_of_the_manifest(manifest: str, tmp_path: Path) -> None:
    file = tmp_path / "night.prom"
    call = returning(SimpleNamespace(manifest_uri=manifest))
    assert main.main([*SCORE, "--metrics", str(file)], call) == 0
    found = values(file)
    assert found.pop(("triad_batch_success_timestamp_seconds", "score")) > 1.7e9
    assert found == {
        ("triad_batch_complete", "score"): 1.0,
        ("triad_batch_records", "score", "read"): 12.0,
        ("triad_batch_records", "score", "scored"): 9.0,
        ("triad_batch_records", "score", "rejected"): 3.0,
        ("triad_batch_rejected", "score", "no_media"): 2.0,
        ("triad_batch_rejected", "score", "duplicate"): 1.0,
        ("triad_batch_media", "score", "image", "used"): 5.0,
        ("triad_batch_media", "score", "image", "forbidden"): 4.0,
        ("triad_batch_media", "score", "text", "used"): 12.0,
    }
    assert main.main([*SCORE, "--metrics", str(file)], call) == 0  # the file is one of ours


def test_real_manifests_have_what_an_outcome_reads(
    prepared: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = json.loads((prepared / "manifest.json").read_text())
    call = returning(str(prepared / "manifest.json"))
    assert main.main([*PREPROCESS, "--json"], call) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["records"] == written["counts"]
    assert found["rejected"] == written["rejected"]
    assert found["media"] == written["media"]
    assert main.main(PREPROCESS, call) == 0
    assert capsys.readouterr().out == ""

    file, about = tmp_path / "train.prom", trained / "triad.json"
    assert main.main([*TRAIN, "--json", "--metrics", str(file)], returning(about)) == 0
    figures = json.loads(about.read_text())["metrics"]["test"]["category"]
    assert json.loads(capsys.readouterr().out)["figures"] == {"category": figures}
    accuracy = ("triad_batch_figure", "train", "accuracy", "category")
    assert values(file)[accuracy] == figures["accuracy"]


def test_a_figure_that_is_not_defined_is_no_metric(tmp_path: Path) -> None:
    file = tmp_path / "train.prom"
    outcome.write_metrics(str(file), Outcome("train", "m", figures={"a": {"accuracy": None}}))
    assert {name for name, *_ in values(file)} == {
        "triad_batch_complete",
        "triad_batch_success_timestamp_seconds",
    }


def test_a_file_of_others_is_refused_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, ran = tmp_path / "notes.txt", []
    file.write_text("mine")
    assert main.main([*SCORE, "--metrics", str(file)], lambda *given: ran.append(given)) == 12
    assert capsys.readouterr().err == (
        f"triad: {file}: is there, and is no file of metrics; choose another --metrics\n"
    )
    assert (ran, file.read_text()) == ([], "mine")


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("gs://bucket/a.prom", "is not on this machine; name a local file"),
        ("none/a.prom", "none is no folder; make it, or name another"),
    ],
)
def test_metrics_that_cannot_be_written_are_refused_before_the_run(
    place: str,
    line: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    ran: list[object] = []
    assert main.main([*SCORE, "--metrics", place], lambda *given: ran.append(given)) == 12
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"triad: --metrics: {place}: ")
    assert said.endswith(line)
    assert ran == []


def test_quiet_logs_warnings_alone_and_shows_no_progress(
    manifest: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*given: Any) -> object:
        with stages.showing(stages.Stage("work")) as say:
            say("a line of the step")
        log = logging.getLogger("triad_ml.anything")
        log.info("a fact")
        log.warning("a warning")
        return SimpleNamespace(manifest_uri=manifest)

    assert main.main(SCORE, work) == 0
    assert "a fact" in capsys.readouterr().err
    assert main.main([*SCORE, "--quiet"], work) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("WARNING triad_ml.anything: a warning")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert not stages.moving()
    assert main.main([*SCORE, "--quiet", "--verbose"], work) == 12
    refused = "triad: --quiet: is the opposite of --verbose; give one of them\n"
    assert capsys.readouterr().err == refused
