"""Thresholds of sets of classes from the spec to labels, explanations and parity."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import canonical, records
from tests.printed import shown
from triad_ml.model.serving import bundle
from triad_ml.model.serving.scorer import load_scorer
from triad_ml.model.tasks.classification import thresholds
from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.pipelines.verification import run as verification_run
from triad_ml.pipelines.verification.config import ParityConfig
from triad_ml.transforms.errors import GateError
from triad_ml.transforms.records.values import Scored

SPEC = """
modalities: {text: {vocabulary: 50, length: 6}}
tasks:
  marks: {kind: classification, label: marks, multi_label: true, thresholds: f1}
  plain: {kind: classification, label: marks, multi_label: true}
model: {recipe: network, dim: 8, text_dim: 8}
training: {epochs: 2, batch_size: 16, learning_rate: 0.01}
"""
SETS = (["frequent"], ["frequent", "rare"], ["frequent"], [], ["frequent", "seldom"], ["frequent"])
TEXTS = [f"one {word}" for word in ("dog", "cat", "cow", "bee", "owl", "pig")]
RECORDS = 120


def line(index: int) -> dict[str, Any]:
    split = ("train", "train", "eval", "test")[index // 6 % 4]
    own = {"marks": SETS[index % 6]}
    return {"id": f"r{index}", "text": TEXTS[index % 6], "labels": own, "split": split}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("thresholds")
    (folder / "spec.yaml").write_text(SPEC)
    path = records.write_lines(folder / "records.jsonl", [line(one) for one in range(RECORDS)])
    data = str(folder / "data")
    preprocessing_run.run(PreprocessConfig(str(folder / "spec.yaml"), (str(path),), data))
    training_run.run(TrainConfig(data, str(folder / "model")))
    return folder


def said(trained: Path, explain: bool) -> tuple[bundle.Artefact, list[Any]]:
    model = bundle.load(trained / "model")
    scorer = load_scorer(str(trained / "model"), model.model_digest, explain)
    outcomes = scorer.score([canonical.record(text=text.encode()) for text in TEXTS])
    assert all(isinstance(one, Scored) for one in outcomes)
    return model, [one.predictions for one in outcomes]


def test_the_bundle_records_the_thresholds_that_the_eval_split_chose(trained):
    model = bundle.load(trained / "model")
    evaluation = json.loads((trained / "model" / bundle.EVALUATION).read_text())
    assert model.thresholds.keys() == {"marks"}
    for split in ("eval", "test"):
        tasks = evaluation["splits"][split]["tasks"]
        assert tasks["marks"]["as recorded"]["threshold"] == list(model.thresholds["marks"])
        assert tasks["plain"]["as recorded"]["threshold"] == 0.5


@pytest.mark.parametrize("explain", [False, True])
def test_labels_follow_the_thresholds_and_explanations_stay(trained, explain):
    model, found = said(trained, explain)
    lowest = {"marks": model.thresholds["marks"], "plain": (thresholds.DEFAULT,) * 3}
    differs = False
    for predictions in found:
        for task, one in predictions.items():
            above = one.distribution >= np.array(lowest[task], np.float32)
            names = np.array(model.classes[task])
            assert set(one.label) == set(names[above])
            differs |= set(one.label) != set(names[one.distribution >= 0.5])
            assert (one.explanation is not None) == explain
            if one.explanation is not None:
                whole = one.explanation.baseline + sum(one.explanation.shares.values())
                assert whole == pytest.approx(one.score, abs=1e-6)
    assert differs  # the rare classes are below one half after two epochs


def test_training_and_scoring_stay_the_same_to_the_last_bit(trained, capsys):
    config = ParityConfig(str(trained / "model"), (str(trained / "records.jsonl"),), tolerance=0.0)
    assert verification_run.parity(config)
    found = shown(capsys.readouterr().out)
    assert found["marks/label"] == [str(RECORDS), "0", "0", "equal"]


def test_thresholds_of_another_training_are_refused(trained):
    about = trained / "model" / bundle.ABOUT
    content = about.read_text()
    changed = json.loads(content)
    changed["thresholds"]["marks"][0] = 0.25
    try:
        about.write_text(json.dumps(changed))
        with pytest.raises(GateError, match="its thresholds is not that of the SavedModel"):
            bundle.load(trained / "model")
        del changed["thresholds"]
        about.write_text(json.dumps(changed))
        with pytest.raises(GateError, match="its thresholds is not that of the SavedModel"):
            bundle.load(trained / "model")
    finally:
        about.write_text(content)
