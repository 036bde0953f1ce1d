"""Scores with explanations: unchanged scores, and the share of each modality."""

import dataclasses
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import scores
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.scoring import carry_over
from triad_ml.pipelines.scoring import plan as scoring_plan
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.tables import formats, schema
from triad_ml.pipelines.tables import rows as tables_rows
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records.values import Explanation
from triad_ml.transforms.spec import loading

DATE = "2026-11-24"
NAMES = ("image", "audio", "text")
TAGGING = """
modalities: {text: }
tasks: {names: {kind: tagging, label: names}}
"""

Row = dict[str, Any]


@pytest.fixture(scope="module")
def few(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty records: one batch, and some more."""
    lines = generated.read_text().splitlines()[:50]
    folder = shutil.copytree(generated.parent, tmp_path_factory.mktemp("few") / "records")
    path = Path(folder) / generated.name
    path.write_text("\n".join(lines) + "\n")
    return path


def config(model: Path, records: Path, output: Path, **more: Any) -> ScoreConfig:
    return ScoreConfig(str(model), (str(records),), str(output), DATE, **more)


def rows(output: Path, date: str = DATE) -> list[Row]:
    return [
        row
        for path in publish.open_current(str(output), date)
        for row in formats.read(path).to_pylist()
    ]


@pytest.fixture(scope="module")
def plain(trained: Path, few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("plain") / "scores"
    scoring_run.run(config(trained, few, output))
    return output


@pytest.fixture(scope="module")
def explained(trained: Path, few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("explained") / "scores"
    scoring_run.run(config(trained, few, output, explain=True))
    return output


def test_each_prediction_has_an_explanation_that_adds_up_to_its_score(explained: Path) -> None:
    found = rows(explained)
    assert len(found) > 40
    assert any(len(row["modalities_used"]) < 3 for row in found)
    for row in found:
        said = row["category"]["explanation"]
        assert list(said) == ["label", "baseline", *NAMES]
        assert said["label"] == row["category"]["label"]
        total = said["baseline"] + sum(said[name] for name in NAMES)
        assert abs(total - row["category"]["score"]) < 1e-5
        for name in set(NAMES) - set(row["modalities_used"]):
            assert said[name] == 0


def without(row: Row) -> Row:
    category = {name: one for name, one in row["category"].items() if name != "explanation"}
    return {**row, "category": category}


def test_all_else_is_as_without_explanations(plain: Path, explained: Path) -> None:
    assert [without(row) for row in rows(explained)] == rows(plain)
    assert "explanation" not in rows(plain)[0]["category"]


def test_explanations_make_another_run_and_are_in_its_manifest(
    trained: Path, few: Path, plain: Path, explained: Path, tmp_path: Path
) -> None:
    manifests = [publish.current(str(output), DATE) for output in (plain, explained)]
    ids = [one.run_id for one in manifests if one is not None]
    assert len(set(ids)) == 2
    assert [one.about.get("explained") for one in manifests if one is not None] == [
        None,
        list(NAMES),
    ]
    again = scoring_plan.plan(config(trained, few, tmp_path, explain=False))
    assert again.run.run_id == ids[0]  # who asks for none gets the run of old


def test_json_lines_hold_what_parquet_holds(
    trained: Path, few: Path, explained: Path, tmp_path: Path
) -> None:
    scoring_run.run(config(trained, few, tmp_path / "lines", explain=True, format="jsonl"))
    assert rows(tmp_path / "lines") == rows(explained)
    (path,) = publish.open_current(str(tmp_path / "lines"), DATE)
    first = json.loads(Path(path).read_text().splitlines()[0])
    assert list(first["category"]["explanation"]) == ["label", "baseline", *NAMES]


def test_explanations_are_carried_over(
    trained: Path, few: Path, explained: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    settings = config(trained, few, explained, explain=True, carry_over=True)
    scoring_run.run(dataclasses.replace(settings, date="2026-11-25"))
    assert rows(explained, "2026-11-25") == rows(explained)
    assert f"{len(rows(explained))} records carried over" in caplog.text


def test_scores_without_explanations_are_not_carried_over_to_a_run_with_some(
    trained: Path, few: Path, plain: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = config(trained, few, plain, explain=True, carry_over=True)
    plan = scoring_plan.plan(dataclasses.replace(settings, date="2026-11-25"))
    assert carry_over.find(plan) is None
    assert "was made with no explanations: nothing is carried over" in caplog.text


def test_a_model_that_cannot_explain_is_refused_before_a_record_is_read(
    own_model: Path, few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    from triad_ml.model.serving import bundle

    path = own_model / bundle.SAVED_MODEL / "saved_model.pb"
    content = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    del content.meta_graphs[0].signature_def["explain"]
    path.write_bytes(content.SerializeToString())
    about = json.loads((own_model / bundle.ABOUT).read_text())
    files = bundle.file_digests(own_model)
    about["files"] = files
    about["digests"]["model"] = bundle.model_digest(files, about["batch_size"])
    (own_model / bundle.ABOUT).write_text(json.dumps(about))
    argv = ["score", "--model", str(own_model), "--input", str(few), "--output"]
    argv.append(str(tmp_path / "scores"))
    assert main.main([*argv, "--date", DATE, "--explain"]) == OptionsError.exit_code
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"triad: {own_model}: has no signature 'explain'; train it with this version, or leave "
        "--explain out"
    )
    assert main.main([*argv, "--date", DATE]) == 0


def test_tasks_without_shares_have_no_column_of_them(trained: Path) -> None:
    from triad_ml.model.serving import bundle

    spec = loading.parse(TAGGING)
    loaded = bundle.load(trained)
    about = {**loaded.about, "spec": json.loads(spec.to_json()), "classes": {"names": ["a"]}}
    other = bundle.Artefact(loaded.folder, about)
    refusal = "--explain: only classification and regression tasks have shares"
    with pytest.raises(OptionsError, match=refusal):
        schema.score_schema(other, "parquet", explain=True)
    assert schema.score_schema(other, "parquet").explained == ()


def described(predictions: Sequence[Explanation | None]) -> Any:
    """A table of one row for each explanation, and its column of the task `topics`."""
    made = []
    for place, explanation in enumerate(predictions):
        one = scores.scored(f"r{place}", place)
        said = {
            task: dataclasses.replace(prediction, explanation=explanation)
            for task, prediction in one.predictions.items()
        }
        made.append(dataclasses.replace(one, predictions=said))
    columns = {
        task: dataclasses.replace(column, explained=("image", "text"))
        for task, column in scores.COLUMNS.items()
    }
    table = tables_rows.score_table(made, columns, scores.PROVENANCE)
    return table, table.column("topics").to_pylist()


def test_sets_have_explanations_of_their_likeliest_class() -> None:
    said = Explanation("food", 0.25, {"image": 0.5, "text": -0.125})
    for form in formats.FORMATS:
        table, found = described([said, said])
        expected = {"label": "food", "baseline": 0.25, "image": 0.5, "text": -0.125}
        assert [one["explanation"] for one in found] == [expected, expected]
        assert formats.decode(formats.encode(table, form), form).equals(table)


def test_no_rows_have_the_columns_of_rows() -> None:
    said = Explanation("food", 0.0, {"image": 0.0, "text": 0.0})
    assert described([])[0].schema == described([said])[0].schema


def test_a_prediction_without_the_explanation_that_was_wanted_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="1 predictions have no explanation"):
        described([Explanation("food", 0.0, {"image": 0.0, "text": 0.0}), None])


def test_shares_are_float32_as_scores_are(explained: Path) -> None:
    (path,) = publish.open_current(str(explained), DATE)
    field = formats.read(path).schema.field("category").type.field("explanation").type
    assert str(field) == (
        "struct<label: string, baseline: float, image: float, audio: float, text: float>"
    )
    first = rows(explained)[0]["category"]["explanation"]
    assert first["image"] == float(np.float32(first["image"]))
