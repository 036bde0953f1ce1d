"""Demo: it prints its commands, falls back to generated records, and stops at a failing command."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console

from examples import demo
from tests import scores
from triad_ml.model.evaluation import document as evaluation_document
from triad_ml.transforms.spec.tasks import ClassificationTask


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), highlight=False, soft_wrap=True)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the builders, where the demo may write."""
    (tmp_path / "examples").symlink_to(demo.ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_command_is_printed_so_that_it_can_be_pasted(console):
    command = [sys.executable, "-c", "pass", "a file [red]"]
    assert demo.run(console, command) == 0
    assert f"$ {sys.executable} -c pass 'a file [red]'\n" in printed(console)


def test_a_command_gives_its_exit_code(console):
    assert demo.run(console, [sys.executable, "-c", "raise SystemExit(11)"]) == 11


def test_where_the_package_cannot_be_had_it_says_so_and_goes_on_with_generated(
    elsewhere, console, monkeypatch
):
    monkeypatch.setenv("PATH", str(elsewhere))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert demo.choose_records(console) == "generated"
    assert "real records cannot be had here" in printed(console)


def test_generated_records_are_announced_loudly(elsewhere, console):
    demo.announce_generated(console)
    assert "GENERATED RECORDS" in printed(console)
    records = elsewhere / "demo/generated/records/records.jsonl"
    assert len(records.read_text(encoding="utf-8").splitlines()) == 600


def test_the_real_records_have_pretrained_encoders_whose_weights_are_converted_once(
    elsewhere, console
):
    assert demo.choose_spec(console, "stamps") == "pretrained"
    for kind, output in demo.ENCODERS.items():
        assert f"triad encoder --kind {kind} --output {output}\n" in printed(console)
        (elsewhere / output).touch()
    assert demo.choose_spec(console, "stamps") == "pretrained"
    assert printed(console).count("triad encoder") == len(demo.ENCODERS)
    model = yaml.safe_load((demo.ROOT / "examples/pretrained.yaml").read_text("utf-8"))["model"]
    for modality in ("image", "text"):
        kind, weights = model[f"{modality}_encoder"], model[f"{modality}_weights"]
        assert weights == f"../{demo.ENCODERS[kind]}"


def test_where_weights_cannot_be_had_it_says_so_and_trains_without_them(elsewhere, console):
    packages = (demo.ENCODER_PACKAGES[0], "no_such_package")
    assert demo.choose_spec(console, "stamps", packages) == "stamps"
    text = printed(console)
    assert "WITHOUT PRETRAINED ENCODERS: the package no_such_package is not installed." in text
    assert "the extra 'transfer' of triad-ml" in text
    assert "triad encoder" not in text


def test_generated_records_are_trained_without_an_encoder(console):
    assert demo.choose_spec(console, "generated") == "generated"
    assert printed(console) == ""


def test_it_stops_at_the_first_command_that_fails_with_its_exit_code(
    tmp_path, console, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # where no spec is
    with pytest.raises(demo.StepFailedError) as failed:
        demo.run_commands(console, "generated", "generated")
    assert failed.value.exit_code == 12
    assert "preprocess --spec examples/generated.yaml" in printed(console)
    assert " train " not in printed(console)


@pytest.mark.parametrize("name", ["pretrained", "stamps", "generated"])
def test_it_ends_with_the_figures_of_the_run_the_paths_and_what_to_try_next(
    name, tmp_path, console
):
    probabilities = np.asarray([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], np.float32)
    task = evaluation_document.evaluate_task(
        ClassificationTask(kind="classification", label="category"),
        ("bird", "cat"),
        np.asarray([0, 1, 1]),
        probabilities,
        {"image": probabilities},
        np.ones(3, bool),
        resamples=10,
        linear={"text": 1 - probabilities, "image+text": probabilities},
    )
    document = evaluation_document.document({"test": {"category": task}})
    (tmp_path / "evaluation.json").write_text(json.dumps(document), encoding="utf-8")
    run = scores.run_folder(tmp_path / "scores")
    scores.score(run, [scores.Work(scored=[scores.scored("a")])])
    demo.show_results(console, name, tmp_path, f"{tmp_path}/scores", run.date, "page.html")
    text = printed(console)
    assert text.count("0.667") >= 2  # two of three, as recorded and with pictures alone
    assert "linear, image+text" in text
    model = "category: accuracy 0.667; the best linear model (image + text): 0.667\n"
    assert model in text
    assert f"Published scores:  {run.path('scores/part-00000.parquet')}\n" in text
    assert "Report:            page.html\n" in text
    assert f"Copy examples/{name}.yaml" in text
    assert ("From GENERATED records" in text) == (name == "generated")
