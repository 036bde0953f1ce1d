"""Training on several data sets and tasks, from records to the evaluation."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.once import made_once
from tests.pipelines.training import several_tasks
from tests.printed import shown
from triad_ml.pipelines.verification import run as verification_run
from triad_ml.pipelines.verification.config import ParityConfig

TASKS = ("weather", "mood", "loud", "marks", "plain")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records, their preprocessing and a model."""
    return made_once(tmp_path_factory, "several-tasks", several_tasks.make)


def test_a_task_is_evaluated_by_data_set_where_several_have_its_label(folder: Path) -> None:
    evaluated = json.loads((folder / "model" / "evaluation.json").read_text())
    tasks = evaluated["splits"]["test"]["tasks"]
    parts = {name: found["n"] for name, found in tasks["loud"]["datasets"].items()}
    assert parts.keys() == {"big", "small"}
    assert min(parts.values()) > 0
    assert sum(parts.values()) == tasks["loud"]["as recorded"]["n"]
    assert parts["big"] == tasks["weather"]["as recorded"]["n"]
    assert parts["small"] == tasks["mood"]["as recorded"]["n"]
    assert "datasets" not in tasks["weather"]


def test_learned_task_weights_are_in_the_history(folder: Path) -> None:
    with (folder / "model" / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    weights = [[float(row[f"{task}_weight"]) for task in TASKS] for row in rows]
    assert len(weights) == 2
    assert weights[0] != weights[1]
    assert all(0 < one < 10 for row in weights for one in row)


def test_the_name_of_the_data_set_is_no_feature_and_parity_holds(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the last bit: of texts by characters, of classes, and of sets with and without choice."""
    inputs = several_tasks.inputs_in(folder)
    assert verification_run.parity(ParityConfig(str(folder / "model"), inputs, tolerance=0.0))
    number = sum(several_tasks.SIZES.values()) + several_tasks.WITH_SETS
    parts = ("distribution", "label", "score")
    names = (
        *("id", "text", "text_grams", "text_present"),
        *(f"{task}/{part}" for task in TASKS for part in parts),
    )
    equal = [str(number), "0", "0", "equal"]
    assert shown(capsys.readouterr().out) == dict.fromkeys(names, equal)


def test_another_temperature_needs_no_other_preprocessing(folder: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(folder / "data", tmp_path / "data"))
    manifest = data / "manifest.json"
    before = json.loads(manifest.read_text())
    several_tasks.prepare(folder, data, temperature=1)
    after = json.loads(manifest.read_text())
    assert (before["spec"]["mixture"]["temperature"], after["created"]) == (0, before["created"])
    assert after["spec"]["mixture"] == {"by": "shelf", "temperature": 1}
    assert after["transform_digest"] == before["transform_digest"]
