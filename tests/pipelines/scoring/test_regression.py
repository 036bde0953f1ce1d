"""Regression from end to end: preparation, training, evaluation, and serving without labels."""

import json

import numpy as np
import pytest

from tests import canonical, records
from tests.pipelines.scoring.tasks_of_each_kind import OFFERS, PRICES, rows_of
from triad_ml.model.serving import bundle
from triad_ml.model.serving.scorer import load_scorer
from triad_ml.pipelines.streaming import run as streaming_run
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records.values import Number, Scored
from triad_ml.transforms.spec import loading

SPEC = """
modalities: {text: {vocabulary: 60, length: 6}}
tasks: {price: {kind: regression, label: price}}
"""


def test_labels_are_counted_and_the_scale_is_that_of_the_training_split(each_kind):
    manifest = json.loads((each_kind.data / "manifest.json").read_text())
    assert manifest["classes"]["price"] == []
    assert manifest["unnamed"]["price"] == 1
    analysis = json.loads((each_kind.model / "analysis.json").read_text())
    ((mean,), (deviation,)) = analysis["moments"]["label_price"]
    assert 1000 < mean < 1010
    assert 3 < deviation < 5


def test_the_evaluation_has_the_figures_of_numbers(each_kind):
    evaluation = json.loads((each_kind.model / "evaluation.json").read_text())
    task = evaluation["splits"]["test"]["tasks"]["price"]
    found = task["as recorded"]
    assert (task["kind"], task["classes"]) == ("regression", [])
    assert found["rmse"]["value"] < found["deviation"] / 2
    assert found["spearman"]["value"] > 0.9


@pytest.mark.parametrize("explain", [False, True])
def test_a_model_serves_numbers_in_the_units_of_the_labels(each_kind, explain):
    model = bundle.load(each_kind.model)
    scorer = load_scorer(str(each_kind.model), model.model_digest, explain)
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


def test_published_numbers_are_those_of_the_model(each_kind):
    rows = each_kind.published
    assert rows.keys() == each_kind.records.keys() - {"gone"}
    model = bundle.load(each_kind.model)
    scorer = load_scorer(str(each_kind.model), model.model_digest, False)
    given = [canonical.record(text=f"one {name}".encode()) for name in PRICES]
    for row, outcome in enumerate(scorer.score(given), start=3):
        assert isinstance(outcome, Scored)
        expected = {"value": np.float32(outcome.predictions["price"].value)}
        assert rows[f"p{row}"]["price"] == expected


def test_a_stream_gives_the_numbers_of_a_batch(each_kind, tmp_path):
    source, sink = tmp_path / "in", tmp_path / "out"
    offers = [one for one in each_kind.records.values() if one["id"].startswith("p")]
    records.write_lines(source / "records.jsonl", offers)
    streaming_run.run(
        StreamConfig(
            str(each_kind.model), str(source), str(sink), poll_seconds=0.1, until_empty=True
        )
    )
    rows = rows_of([str(path) for path in sorted((sink / "scores").rglob("*.parquet"))])
    batch = each_kind.published
    assert len(rows) == OFFERS
    assert {i: row["price"] for i, row in rows.items()} == {i: batch[i]["price"] for i in rows}


def test_keys_of_classes_are_refused(tmp_path):
    for key in ("imbalance: focal", "multi_label: true", "gamma: 2"):
        with pytest.raises(OptionsError, match="a task of kind regression has no "):
            loading.parse(SPEC.replace("label: price}", f"label: price, {key}}}"))
