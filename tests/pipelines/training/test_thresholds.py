"""Choices of the eval split, thresholds and temperatures, from the spec to the served model."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests import canonical
from tests.once import made_once
from tests.pipelines.training import several_tasks
from triad_ml.model.serving import bundle, export
from triad_ml.model.serving.scorer import load_scorer
from triad_ml.model.tasks.classification import temperature, thresholds
from triad_ml.transforms.errors import GateError
from triad_ml.transforms.records.values import Scored


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "several-tasks", several_tasks.make)


def said(trained: Path, explain: bool) -> tuple[bundle.Artefact, list[Any]]:
    model = bundle.load(trained / "model")
    scorer = load_scorer(str(trained / "model"), model.model_digest, explain)
    outcomes = scorer.score([canonical.record(text=text.encode()) for text in several_tasks.TEXTS])
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
        for task in lowest:
            one = predictions[task]
            above = one.distribution >= np.array(lowest[task], np.float32)
            names = np.array(model.classes[task])
            assert set(one.label) == set(names[above])
            differs |= set(one.label) != set(names[one.distribution >= 0.5])
            assert (one.explanation is not None) == explain
            if one.explanation is not None:
                whole = one.explanation.baseline + sum(one.explanation.shares.values())
                assert whole == pytest.approx(one.score, abs=1e-6)
    assert differs  # the rare classes are below one half after two epochs


def test_the_saved_model_has_the_temperatures_that_the_eval_split_determined(trained):
    saved = tf.saved_model.load(str(trained / "model" / bundle.SAVED_MODEL))
    variables = {
        one.name.partition("/")[0]: float(one)
        for one in saved.signatures[export.SERVING].variables
        if one.name.startswith("temperature_")
    }
    evaluation = json.loads((trained / "model" / bundle.EVALUATION).read_text())
    splits = {split: evaluation["splits"][split]["tasks"] for split in ("eval", "test")}
    for tasks in splits.values():
        fitted = {}
        for name, task in tasks.items():
            found = task["temperature"]
            assert found["records"] == splits["eval"][name]["as recorded"]["n"]
            if found["records"] >= temperature.LEAST:
                fitted[f"temperature_{name}"] = found["value"]
                assert 0 < found["ece_before"] < 1
            else:
                assert (found["value"], found["ece_before"]) == (1.0, None)
        assert fitted == variables
    assert {"temperature_marks", "temperature_plain"} <= variables.keys()
    assert "temperature_mood" not in variables
    assert all(value != 1 for value in variables.values())


def test_thresholds_of_another_training_are_refused(trained, tmp_path):
    model = Path(shutil.copytree(trained / "model", tmp_path / "model"))
    about = model / bundle.ABOUT
    changed = json.loads(about.read_text())
    changed["thresholds"]["marks"][0] = 0.25
    about.write_text(json.dumps(changed))
    with pytest.raises(GateError, match="its thresholds is not that of the SavedModel"):
        bundle.load(model)
    del changed["thresholds"]
    about.write_text(json.dumps(changed))
    with pytest.raises(GateError, match="its thresholds is not that of the SavedModel"):
        bundle.load(model)
