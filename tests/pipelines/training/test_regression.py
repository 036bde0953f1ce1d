"""Numbers from records to a model: prepared, trained, evaluated, and served without labels."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests import canonical, records
from triad_ml.model.serving import bundle
from triad_ml.model.serving.scorer import load_scorer
from triad_ml.pipelines.preprocessing import pipeline as preprocessing_pipeline
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.training import train
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.transforms.records.values import Number, Scored

SPEC = """
modalities: {text: {vocabulary: 60, length: 6}}
tasks: {price: {kind: regression, label: price}}
model: {dim: 16, text_dim: 16, dropout: 0.1}
training: {epochs: 20, batch_size: 16, learning_rate: 0.02}
split: {by: id, train: 0.7, eval: 0.1, test: 0.2}
"""
PRICES = {"plum": 1000.25, "pear": 1003.5, "fig": 1010.0}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("regression")
    names = [*PRICES]
    made = [
        {"id": f"r{i}", "text": f"one {names[i % 3]}", "labels": {"price": PRICES[names[i % 3]]}}
        for i in range(120)
    ]
    made[0]["labels"], made[1]["labels"] = {}, {"price": "dear"}
    path = records.write_lines(folder / "records.jsonl", made)
    (folder / "spec.yaml").write_text(SPEC)
    data, model = folder / "data", folder / "model"
    preprocessing_pipeline.run(PreprocessConfig(str(folder / "spec.yaml"), (str(path),), str(data)))
    train.run(TrainConfig(str(data), str(model)))
    return folder


def test_labels_are_counted_and_the_scale_is_that_of_the_training_split(trained):
    manifest = json.loads((trained / "data" / "manifest.json").read_text())
    assert manifest["classes"] == {"price": []}
    assert manifest["unnamed"] == {"price": 1}
    ((mean,), (deviation,)) = json.loads((trained / "model" / "analysis.json").read_text())[
        "moments"
    ]["label_price"]
    assert 1000 < mean < 1010
    assert 3 < deviation < 5


def test_the_evaluation_has_the_figures_of_numbers(trained):
    evaluation = json.loads((trained / "model" / "evaluation.json").read_text())
    task = evaluation["splits"]["test"]["tasks"]["price"]
    found = task["as recorded"]
    assert (task["kind"], task["classes"]) == ("regression", [])
    assert found["rmse"]["value"] < found["deviation"] / 2
    assert found["spearman"]["value"] > 0.9


@pytest.mark.parametrize("explain", [False, True])
def test_a_model_serves_numbers_in_the_units_of_the_labels(trained, explain):
    model = bundle.load(trained / "model")
    scorer = load_scorer(str(trained / "model"), model.model_digest, explain)
    given = [canonical.record(text=f"one {name}".encode()) for name in PRICES]
    for outcome, price in zip(scorer.score(given), PRICES.values(), strict=True):
        assert isinstance(outcome, Scored)
        said = outcome.predictions["price"]
        assert isinstance(said, Number)
        assert said.value == pytest.approx(price, abs=2.0)
        assert (said.explanation is not None) == explain
        if said.explanation is not None:
            total = said.explanation.baseline + sum(said.explanation.shares.values())
            np.testing.assert_allclose(total, said.value, rtol=1e-5)
