"""Command line of search, explanations and saliency."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from triad_ml.pipelines.cli import main
from triad_ml.pipelines.report import config as report_config
from triad_ml.pipelines.scoring import config as scoring_config
from triad_ml.pipelines.training import config as training_config
from triad_ml.pipelines.training.search import results
from triad_ml.pipelines.training.search.results import TrialRow

ROOT = Path(__file__).resolve().parents[4]
ROWS = (
    TrialRow(0, "complete", 0.75, 2, 3, {"model.dim": 64, "model.dropout": 0.25}, ""),
    TrialRow(1, "failed", None, 0, 0, {"model.dim": 128, "model.dropout": 0.5}, "out of memory"),
    TrialRow(2, "complete", 0.5, 3, 3, {"model.dim": 32, "model.dropout": 0.123456}, ""),
    TrialRow(3, "pruned", 0.9, 1, 1, {"model.dim": 32, "model.dropout": 0.0}, ""),
    TrialRow(4, "complete", 0.5, 1, 3, {"model.dim": 64, "model.dropout": 0.0}, ""),
)


class Found:
    """What a search gives the command line."""

    best = Path("search/best.yaml")
    rows = ROWS


class Calls:
    """Stands where the use cases are: keeps the config it is handed, and gives an outcome."""

    def __init__(self, outcome: object) -> None:
        self.outcome = outcome
        self.seen: list[object] = []

    def __call__(self, function: Callable[..., object], config: object) -> object:
        self.seen.append(config)
        return self.outcome


def test_a_search_hands_over_what_was_asked_for_and_prints_the_best_spec_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = Calls(Found())
    argv = ["search", "--data", "d", "--output", "o", "--trials", "5", "--minutes", "1.5"]
    assert main.main([*argv, "--space", "s.yaml", "--seed", "3"], calls) == 0
    assert calls.seen == [training_config.SearchConfig("d", "o", 5, 1.5, "s.yaml", 3)]
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[-1] == "search/best.yaml"
    assert "3 complete, 1 pruned, 1 failed" in lines
    assert [line.split() for line in lines if line[:1].isdigit()][1:] == [
        ["2", "0.5000", "3", "32", "0.1235"],
        ["4", "0.5000", "1", "64", "0"],
        ["0", "0.7500", "2", "64", "0.25"],
    ]


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--trials", "0"], "--trials: must be at least 1, got 0"),
        (["--minutes", "0"], "--minutes: must be over 0, got 0"),
        (["--minutes", "nan"], "--minutes: must be over 0, got nan"),
        (["--seed", "-1"], "--seed: must be at least 0, got -1"),
        (["--data", "gs://b/d"], "--data: gs://b/d: a search reads local files; copy it here"),
        (["--output", "gs://b"], "--output: gs://b: a search writes to a local folder"),
        (["--space", ""], "--space: must not be empty"),
        (["--", "--streaming"], "--: triad search uses no Beam; remove what stands after it"),
    ],
)
def test_a_wrong_search_is_one_line_and_code_12(
    flags: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["search", "--data", "d", "--output", "o", *flags], Calls(Found())) == 12
    assert capsys.readouterr().err.splitlines() == [f"triad: {line}"]


def test_the_best_of_equal_trials_is_the_first_and_only_complete_ones_count() -> None:
    best = results.best(ROWS)
    assert best is not None
    assert best.number == 2
    assert results.best(ROWS[1:2]) is None


def test_the_table_has_a_line_a_trial() -> None:
    assert results.to_csv(ROWS[:3]).decode().splitlines() == [
        "trial,state,eval_loss,best_epoch,epochs,model.dim,model.dropout,why",
        "0,complete,0.75,2,3,64,0.25,",
        "1,failed,,0,0,128,0.5,out of memory",
        "2,complete,0.5,3,3,32,0.123456,",
    ]


def test_explanations_saliency_and_a_spec_to_train_by_are_handed_over() -> None:
    class Published:
        manifest_uri = "m"

    calls = Calls(Published())
    scoring = ["score", "--model", "m", "--input", "i", "--output", "o", "--date", "2026-11-24"]
    assert main.main([*scoring, "--explain"], calls) == 0
    report = ["report", "--model", "m", "--output", "o", "--scores", "s", "--input", "i"]
    assert main.main([*report, "--saliency", "4"], calls) == 0
    assert main.main(["train", "--data", "d", "--output", "o", "--spec", "best.yaml"], calls) == 0
    assert calls.seen == [
        scoring_config.ScoreConfig("m", ("i",), "o", "2026-11-24", explain=True),
        report_config.ReportConfig("m", "o", "s", None, ("i",), saliency=4),
        training_config.TrainConfig("d", "o", spec="best.yaml"),
    ]


@pytest.mark.parametrize("page", ["search.md", "explain.md", "track.md"])
def test_the_commands_of_the_pages_are_taken(page: str) -> None:
    class Outcome(Found):
        manifest_uri = "m"

    lines = (ROOT / "docs" / "how-to" / page).read_text().splitlines()
    commands = [line.removeprefix("$ triad ") for line in lines if line.startswith("$ triad ")]
    assert len(commands) == 2
    for command in commands:
        assert main.main(command.replace("'", "").split(), Calls(Outcome())) == 0


def test_help_imports_neither_tensorflow_nor_optuna() -> None:
    script = (
        "import sys; from triad_ml.pipelines.cli.main import main; main(['search', '--help']); "
        "print(sorted({'tensorflow', 'keras', 'optuna', 'apache_beam'} & set(sys.modules)))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert finished.stdout.splitlines()[-1] == "[]"
