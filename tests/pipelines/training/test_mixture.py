"""Training on several data sets and tasks, from records to the evaluation."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.pipelines.verification import run as verification_run
from triad_ml.pipelines.verification.config import ParityConfig

SPEC = """
modalities: {text: {vocabulary: 60, length: 6}}
tasks:
  weather: {kind: classification, label: weather}
  mood: {kind: classification, label: mood}
  loud: {kind: classification, label: loud, imbalance: focal}
mixture: {by: shelf, temperature: TEMPERATURE}
model: {recipe: network, dim: 8, text_dim: 8, fusion: attention}
training: {epochs: 2, batch_size: 8, task_weights: uncertainty}
split: {by: id, train: 0.6, eval: 0.1, test: 0.3}
"""
SIZES = {"big": 60, "small": 20}


def lines(shelf: str) -> list[dict[str, Any]]:
    """Records of one shelf: all have the label `loud`, and each shelf one that the other lacks."""
    task, signs = {"big": ("weather", ("sun", "rain")), "small": ("mood", ("glad", "sad"))}[shelf]
    return [
        {
            "id": f"{shelf}-{place}",
            "text": f"today {signs[place % 2]} {'!' if place % 3 else '.'}",
            "labels": {task: signs[place % 2], "loud": str(bool(place % 3))},
            "shelf": shelf,
        }
        for place in range(SIZES[shelf])
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records, their preprocessing and a model."""
    folder = tmp_path_factory.mktemp("mixture")
    for shelf in SIZES:
        rows = (json.dumps(line) + "\n" for line in lines(shelf))
        (folder / f"{shelf}.jsonl").write_text("".join(rows))
    prepare(folder, temperature=0)
    training_run.run(TrainConfig(str(folder / "data"), str(folder / "model")))
    return folder


def prepare(folder: Path, temperature: float) -> None:
    (folder / "spec.yaml").write_text(SPEC.replace("TEMPERATURE", str(temperature)))
    inputs = tuple(str(folder / f"{shelf}.jsonl") for shelf in SIZES)
    preprocessing_run.run(PreprocessConfig(str(folder / "spec.yaml"), inputs, str(folder / "data")))


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
    weights = [
        [float(row[f"{task}_weight"]) for task in ("weather", "mood", "loud")] for row in rows
    ]
    assert len(weights) == 2
    assert weights[0] != weights[1]
    assert all(0 < one < 10 for row in weights for one in row)


def test_the_name_of_the_data_set_is_no_feature_and_parity_holds(folder: Path) -> None:
    inputs = tuple(str(folder / f"{shelf}.jsonl") for shelf in SIZES)
    assert verification_run.parity(ParityConfig(model=str(folder / "model"), inputs=inputs))


def test_another_temperature_needs_no_other_preprocessing(folder: Path) -> None:
    manifest = folder / "data" / "manifest.json"
    before = json.loads(manifest.read_text())
    prepare(folder, temperature=1)
    after = json.loads(manifest.read_text())
    assert (before["spec"]["mixture"]["temperature"], after["created"]) == (0, before["created"])
    assert after["spec"]["mixture"] == {"by": "shelf", "temperature": 1}
    assert after["transform_digest"] == before["transform_digest"]
