"""Generation, tagging and regression in one model: parity, forms, carrying over, and the report."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.pipelines.scoring.tasks_of_each_kind import FIRST, SECOND, score
from tests.printed import shown
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.report import page as report_page
from triad_ml.pipelines.verification import run as verification_run
from triad_ml.pipelines.verification.config import ParityConfig

TAGGING = ("names", "predicates", "roles")


def test_training_and_scoring_give_the_same(each_kind, capsys):
    assert verification_run.parity(
        ParityConfig(str(each_kind.model), (str(each_kind.input),), tolerance=0.0)
    )
    found = shown(capsys.readouterr().out)
    names = {f"{task}/{part}" for task in TAGGING for part in ("spans", "score", "span_score")}
    names |= {"text", "text_start", "text_end", "marker_roles", "scale_price", "price/value"}
    names |= {"text_surface", "units_meaning", "meaning/text", "meaning/score"}
    assert found.keys() >= names
    number = str(len(each_kind.records) - 1)  # one holds nothing
    assert {tuple(row) for row in found.values()} == {(number, "0", "0", "equal")}


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_explained_rows_hold_the_same_and_are_carried_over_as_they_are(each_kind, tmp_path, form):
    def run(date, **more):
        return score(each_kind.model, each_kind.input, tmp_path, date, **more)

    settings = {"format": form, "explain": True}
    first, published = run(FIRST, **settings), each_kind.published
    assert first.keys() == published.keys()
    for record_id, row in first.items():
        said = row["price"]["explanation"]
        total = said["baseline"] + said["text"]
        np.testing.assert_allclose(total, row["price"]["value"], rtol=1e-5)
        for task in ("meaning", "names"):
            assert row[task] == published[record_id][task]
    assert run(SECOND, carry_over=True, **settings) == first
    manifest = publish.current(str(tmp_path), SECOND)
    assert manifest is not None
    assert manifest.about["carried_over_from"]["date"] == FIRST
    assert dict(manifest.classes)["meaning"] == dict(manifest.classes)["price"] == ()


def test_the_report_shows_figures_and_examples_of_each_kind(each_kind, tmp_path):
    path = report_page.write(
        each_kind.model,
        str(each_kind.output),
        None,
        [str(each_kind.input)],
        tmp_path / "r.html",
        saliency=1,
    )
    content = Path(path).read_text()
    assert content.count('class="why-so"') == 1  # of the classes; texts have no such grounds
    texts = ("exact match", "chrF", "BLEU", "1 of 242", "Play(song=")
    spans = ("entity F1", "all spans right", "labelled spans", "0 of 200", "0 of 100")
    numbers = ("RMSE", "MAE", "Spearman", "Predictions against labels", "Residuals")
    for words in (*texts, *spans, *numbers):
        assert words in content
    evaluation = json.loads((each_kind.model / "evaluation.json").read_text())
    found = evaluation["splits"]["test"]["tasks"]["price"]["as recorded"]
    assert len(found["pairs"]) == found["n"]
    for figure in ("price: predictions", "price: residuals"):
        chart = content.partition(f'aria-label="{figure}"')[2].partition("</svg>")[0]
        assert chart.count("<circle") == found["n"]
        assert chart.count('class="diagonal"') == 1
