"""`triad evaluate`: published scores against labels that arrive later."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import records, scores
from tests.docs_pages import ROOT
from tests.scores import CLASSES, DATE, Work
from triad_ml.model.evaluation import document
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.publishing import reading
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.pipelines.verification import run as verification_run
from triad_ml.pipelines.verification.config import EvaluateConfig
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec.tasks import ClassificationTask

COUNT = 120
SHOPS = ("north", "south", "east")
TASK = ClassificationTask(kind="classification", label="category")


def row(one: int) -> Any:
    extra = {"shop": SHOPS[one % 3], "price": one / 2}
    return scores.scored(f"r{one}", one, unit=one // 60, extra=extra)


def label(one: int) -> str:
    """The predicted class, but in the south another one."""
    right = row(one).predictions["category"].label
    others = [name for name in CLASSES["category"] if name != right]
    return others[0] if one % 3 == 1 else right


@pytest.fixture(scope="module", params=["parquet", "jsonl"])
def published(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    folder = tmp_path_factory.mktemp(request.param) / "scores"
    run = scores.run_folder(folder, name="only")
    settings = ScoreSchema(scores.COLUMNS, scores.PROVENANCE, request.param)
    units = ([row(one) for one in range(60)], [row(one) for one in range(60, COUNT)])
    scores.score(run, [Work(unit) for unit in units], settings=settings)
    return run


def written(path: Path, rows: list[Mapping[str, Any]]) -> str:
    records.write_lines(path, rows)
    return str(path)


def evaluated(published: RunFolder, tmp_path: Path, labels: str, **more: Any) -> dict[str, Any]:
    output = tmp_path / "figures.json"
    verification_run.evaluate(
        EvaluateConfig(published.output, (labels,), output=str(output), **more)
    )
    found: dict[str, Any] = json.loads(output.read_text())
    return found


def test_figures_are_those_of_the_same_arrays_in_training(published, tmp_path):
    given = [{"id": f"r{one}", "labels": {"category": label(one)}} for one in range(COUNT)]
    found = evaluated(published, tmp_path, written(tmp_path / "labels.jsonl", given))
    order = reading.read_scores(published.output, DATE, ["id"])["id"].to_pylist()
    numbers = [int(record_id[1:]) for record_id in order]
    expected = document.evaluate_task(
        TASK,
        CLASSES["category"],
        [CLASSES["category"].index(label(one)) for one in numbers],
        np.stack([row(one).predictions["category"].distribution for one in numbers]),
        {},
        np.ones(COUNT, bool),
    )
    own = found["tasks"]["category"]
    assert {key: own[key] for key in expected} == json.loads(json.dumps(expected))
    assert found["tasks"]["topics"]["as recorded"]["n"] == 0
    assert found["scores"]["run"] == published.run_id
    assert found["labels"]["joined"] == COUNT


def test_slices_are_sorted_by_how_far_they_are_below_the_whole(published, tmp_path, capsys):
    given = [{"id": f"r{one}", "labels": {"category": label(one)}} for one in range(COUNT)]
    labels = written(tmp_path / "labels.jsonl", given)
    found = evaluated(published, tmp_path, labels, slices=("shop", "price:5,30"))
    slices = found["tasks"]["category"]["slices"]
    shops = [(one["slice"], one["n"], one["accuracy"]["value"]) for one in slices["shop"]]
    assert shops == [("south", 40, 0.0), ("north", 40, 1.0), ("east", 40, 1.0)]
    prices = [(one["slice"], one["n"], one["few"]) for one in slices["price"]]
    assert sorted(prices[:2]) == [("5 to 30", 50, False), (">= 30", 60, False)]
    assert prices[2] == ("< 5", 10, True)
    for one in slices["price"]:
        assert one["accuracy"]["low"] <= one["accuracy"]["value"] <= one["accuracy"]["high"]
    assert [one["slice"] for one in slices["modalities_used"]] == ["image+text"]
    assert "shop south" in capsys.readouterr().out


def test_a_slice_that_looks_like_markup_is_shown_as_it_is(tmp_path, capsys):
    run = scores.run_folder(tmp_path / "scores")
    shops = ("[/b]", "[red]x\x1b[31m")
    rows = [scores.scored(f"r{one}", one, extra={"shop": shops[one % 2]}) for one in range(4)]
    scores.score(run, [Work(rows)])
    given = [{"id": f"r{one}", "labels": {"category": label(one)}} for one in range(4)]
    labels = written(tmp_path / "labels.jsonl", given)
    found = evaluated(run, tmp_path, labels, slices=("shop",))
    assert {one["slice"] for one in found["tasks"]["category"]["slices"]["shop"]} == set(shops)
    shown = capsys.readouterr().out
    assert "shop [/b] (few)" in shown
    assert "shop [red]x\ufffd[31m (few)" in shown


def test_another_file_is_not_replaced_by_the_figures(published, tmp_path):
    labels = written(tmp_path / "labels.jsonl", [{"id": "r1", "labels": {"category": "dog"}}])
    before = Path(labels).read_bytes()
    with pytest.raises(OptionsError, match="is there, and is no figures of triad evaluate"):
        verification_run.evaluate(EvaluateConfig(published.output, (labels,), output=labels))
    assert Path(labels).read_bytes() == before
    assert evaluated(published, tmp_path, labels) == evaluated(published, tmp_path, labels)


def test_the_folder_of_a_date_names_the_date(published, tmp_path):
    labels = written(tmp_path / "labels.jsonl", [{"id": "r1", "labels": {"category": "dog"}}])
    folder = f"{published.output}/dt={DATE}"
    of_date = verification_run.evaluate(EvaluateConfig(f"{folder}/", (labels,)))
    assert of_date == verification_run.evaluate(EvaluateConfig(published.output, (labels,)))
    with pytest.raises(OptionsError, match="2026-01-01 is not the date of"):
        verification_run.evaluate(EvaluateConfig(folder, (labels,), date="2026-01-01"))


def test_what_is_not_compared_is_counted_and_said(published, tmp_path, caplog):
    given: list[Mapping[str, Any]] = [
        *({"id": f"r{one}", "labels": {"category": label(one)}} for one in range(10)),
        {"id": "r3", "labels": {"category": "dog"}},
        {"id": "r10", "labels": {"category": "fish"}},
        {"id": "r11", "labels": {"category": ["dog"], "topics": ["art"]}},
        {"id": "r12", "labels": {}},
        {"id": "r13", "labels": {"category": ["dog"]}},
        {"id": "r13", "labels": {"category": "dog"}},
        {"id": "elsewhere", "labels": {"category": "dog"}},
        {"labels": {"category": "dog"}},
    ]
    caplog.set_level("INFO")
    found = evaluated(published, tmp_path, written(tmp_path / "labels.jsonl", given))
    assert found["labels"] == {
        "scored": COUNT,
        "read": 18,
        "joined": 12,
        "without_label": COUNT - 12,
        "without_score": 1,
        "rejected": 1,
        "repeated": 2,
        "unlabelled": 1,
        "invalid": {"category": 2},
    }
    assert [entry.message for entry in caplog.records if "evaluate" in entry.name] == [
        "12 scored records of 120 have a label",
        "1 record with a label, but without a score of this run",
        "1 record of the labels rejected: no record, or no id",
        "2 records of the labels with the id of an earlier one, which counts",
        "1 record of the labels without a label of any task",
        "category: 2 labels cannot be used, the first because a list where one class is expected; "
        "set multi_label: true where a record has several",
        "category: 1 with a class that the model does not know; they count as wrong",
    ]


def test_a_run_folder_and_a_csv_of_labels_without_tensorflow(published, tmp_path):
    path = tmp_path / "labels.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "labels.category"])
        table.writerows([f"r{one}", label(one)] for one in range(30))
    program = (
        "import sys\nfrom triad_ml.pipelines.cli import main\n"
        "code = main.main(sys.argv[1:])\n"
        "heavy = {'tensorflow', 'keras', 'librosa'} & sys.modules.keys()\n"
        "print('loaded', sorted(heavy))\nsys.exit(code)"
    )
    argv = ["evaluate", "--scores", published.folder, "--labels", str(path), "--slice", "shop"]
    ran = subprocess.run(
        [sys.executable, "-c", program, *argv],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "loaded []" in ran.stdout
    assert f"scores of {DATE}" in ran.stdout
    assert "30 scored records of 120 have a label" in ran.stderr


@pytest.mark.parametrize(
    ("given", "more", "message"),
    [
        ([{"id": "x", "labels": {"category": "dog"}}], {}, "--labels: of 1 record, none has both"),
        (
            [{"id": "r1", "labels": {"category": "dog"}}],
            {"slices": ("city",)},
            "'city' is no column",
        ),
        (
            [{"id": "r1", "labels": {"category": "dog"}}],
            {"slices": ("category",)},
            "--slice: 'category' is what a task predicts; name one of id",
        ),
    ],
)
def test_labels_and_slices_that_match_nothing_are_refused(
    published, tmp_path, given, more, message
):
    labels = written(tmp_path / "labels.jsonl", given)
    with pytest.raises(OptionsError, match=message):
        evaluated(published, tmp_path, labels, **more)


def test_another_model_than_the_one_that_scored_is_refused(published, trained, tmp_path):
    labels = written(tmp_path / "labels.jsonl", [{"id": "r1", "labels": {"category": "dog"}}])
    with pytest.raises(OptionsError, match="mmmmmmmm made these scores; name that one, or leave"):
        evaluated(published, tmp_path, labels, model=str(trained))


def test_a_date_that_is_not_that_of_the_run_is_refused(published, tmp_path):
    labels = written(tmp_path / "labels.jsonl", [{"id": "r1", "labels": {"category": "dog"}}])
    with pytest.raises(OptionsError, match="2026-01-01 is not the date of"):
        verification_run.evaluate(EvaluateConfig(published.folder, (labels,), date="2026-01-01"))


def test_the_command_hands_over_what_was_asked_for():
    seen = []
    argv = ["evaluate", "--scores", "s", "--labels", "a", "--labels", "b", "--date", DATE]
    argv += ["--slice", "shop", "--slice", "price:1,2", "--model", "m", "--output", "o.json"]
    assert main.main(argv, lambda function, config: seen.append(config)) == 0
    slices = ("shop", "price:1,2")
    assert seen == [EvaluateConfig("s", ("a", "b"), DATE, "m", slices, "o.json")]
