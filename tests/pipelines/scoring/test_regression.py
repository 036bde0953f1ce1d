"""Regression from end to end: preparation, training, evaluation, and serving without labels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import canonical, records
from tests.printed import shown
from triad_ml.model.serving import bundle
from triad_ml.model.serving.scorer import load_scorer
from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.report import page
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.streaming import run as streaming_run
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.tables import formats
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.pipelines.verification import run as verification_run
from triad_ml.pipelines.verification.config import ParityConfig
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records.values import Number, Scored
from triad_ml.transforms.spec import loading

SPEC = """
modalities: {text: {vocabulary: 60, length: 6}}
tasks: {price: {kind: regression, label: price}}
model: {recipe: network, dim: 16, text_dim: 16, dropout: 0.1}
training: {epochs: 20, batch_size: 16, learning_rate: 0.02}
split: {by: id, train: 0.7, eval: 0.1, test: 0.2}
"""
FIRST, SECOND = "2026-11-23", "2026-11-24"
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
    preprocessing_run.run(PreprocessConfig(str(folder / "spec.yaml"), (str(path),), str(data)))
    training_run.run(TrainConfig(str(data), str(model)))
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


def scored(trained: Path, output: Path, date: str = FIRST, **more: Any) -> dict[str, Any]:
    """The column of each published record, by id."""
    config = ScoreConfig(
        str(trained / "model"), (str(trained / "records.jsonl"),), str(output), date, **more
    )
    scoring_run.run(config)
    return column(publish.open_current(str(output), date))


def column(paths: list[str] | tuple[str, ...]) -> dict[str, Any]:
    return {row["id"]: row["price"] for path in paths for row in formats.read(path).to_pylist()}


def test_training_and_scoring_give_the_same_numbers(trained, capsys):
    config = ParityConfig(str(trained / "model"), (str(trained / "records.jsonl"),), tolerance=0.0)
    assert verification_run.parity(config)
    found = shown(capsys.readouterr().out)
    assert found.keys() >= {"text", "scale_price", "price/value"}
    assert {tuple(row) for row in found.values()} == {("120", "0", "0", "equal")}


def test_published_numbers_are_those_of_the_model(trained, tmp_path):
    rows = scored(trained, tmp_path / "scores")
    assert rows.keys() == {f"r{i}" for i in range(120)}
    model = bundle.load(trained / "model")
    scorer = load_scorer(str(trained / "model"), model.model_digest, False)
    given = [canonical.record(text=f"one {name}".encode()) for name in PRICES]
    for row, outcome in enumerate(scorer.score(given), start=3):
        assert isinstance(outcome, Scored)
        assert rows[f"r{row}"] == {"value": np.float32(outcome.predictions["price"].value)}


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_explained_numbers_are_carried_over_as_they_are(trained, tmp_path, form):
    settings = {"format": form, "explain": True}
    first = scored(trained, tmp_path, **settings)
    for said in first.values():
        total = said["explanation"]["baseline"] + said["explanation"]["text"]
        np.testing.assert_allclose(total, said["value"], rtol=1e-5)
    assert scored(trained, tmp_path, SECOND, carry_over=True, **settings) == first
    manifest = publish.current(str(tmp_path), SECOND)
    assert manifest is not None
    assert manifest.about["carried_over_from"]["date"] == FIRST
    assert dict(manifest.classes)["price"] == ()


def test_a_stream_gives_the_numbers_of_a_batch(trained, tmp_path):
    source, sink = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / "records.jsonl").write_bytes((trained / "records.jsonl").read_bytes())
    streaming_run.run(
        StreamConfig(
            str(trained / "model"), str(source), str(sink), poll_seconds=0.1, until_empty=True
        )
    )
    paths = [str(path) for path in sorted((sink / "scores").rglob("*.parquet"))]
    assert column(paths) == scored(trained, tmp_path / "scores")


def test_the_report_shows_figures_and_plots_of_errors(trained, tmp_path):
    scored(trained, tmp_path / "scores")
    given = (str(trained / "records.jsonl"),)
    path = page.write(
        trained / "model", str(tmp_path / "scores"), None, given, tmp_path / "r.html", saliency=1
    )
    content = Path(path).read_text()
    evaluation = json.loads((trained / "model" / "evaluation.json").read_text())
    found = evaluation["splits"]["test"]["tasks"]["price"]["as recorded"]
    assert len(found["pairs"]) == found["n"]
    for words in ("RMSE", "MAE", "Spearman", "Predictions against labels", "Residuals"):
        assert words in content
    for figure in ("price: predictions", "price: residuals"):
        chart = content.partition(f'aria-label="{figure}"')[2].partition("</svg>")[0]
        assert chart.count("<circle") == found["n"]
        assert chart.count('class="diagonal"') == 1


def test_keys_of_classes_are_refused(tmp_path):
    for key in ("imbalance: focal", "multi_label: true", "gamma: 2"):
        with pytest.raises(OptionsError, match="a task of kind regression has no "):
            loading.parse(SPEC.replace("label: price}", f"label: price, {key}}}"))
