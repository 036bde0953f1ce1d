"""`triad robustness`: the figures of a model under noise."""

import json

import numpy as np
import pytest

from triad_ml.model.evaluation import document
from triad_ml.model.serving import bundle
from triad_ml.model.serving.scorer import load_scorer
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.sources import read, units
from triad_ml.pipelines.verification import run as verification_run
from triad_ml.pipelines.verification.config import RobustnessConfig
from triad_ml.pipelines.verification.robustness.noise import NOISES
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.media.canonicalize import Canonicalizer

COUNT = 40


def test_curves_begin_with_the_figures_without_noise(generated, trained, tmp_path, capsys):
    output = tmp_path / "robustness.json"
    config = RobustnessConfig(str(trained), (str(generated),), limit=COUNT, output=str(output))
    verification_run.robustness(config)
    found = json.loads(output.read_text())
    model = bundle.load(trained)
    assert (found["model"], found["records"]) == (model.model_digest, COUNT)
    (unit,) = units.plan(units.list_inputs((str(generated),)))
    canonical = Canonicalizer(model.spec, ()).canonical
    rows = [canonical(raw) for raw in read.read(unit, model.spec.label_names)]
    labelled = [row for row in rows if row.labels.get("category")][:COUNT]
    shown = load_scorer(str(trained), model.model_digest, False).outputs(labelled)
    classes = model.classes["category"]
    ids = np.array([classes.index(row.labels["category"]) for row in labelled])
    task = model.spec.tasks["category"]
    for name, noise in found["noise"].items():
        first, *others = noise["tasks"]["category"]
        present = np.array([bool(getattr(row, name)) for row in labelled])
        expected = document.evaluate_task(
            task, classes, ids[present], shown["category/distribution"][present], {}, present
        )["as recorded"]
        assert first == {
            "strength": None,
            **{key: json.loads(json.dumps(expected[key])) for key in ("n", "accuracy", "macro_f1")},
        }
        assert [one["strength"] for one in others] == list(NOISES[name].strengths)
        assert {one["n"] for one in others} == {first["n"]}
        assert noise["unit"] == NOISES[name].unit
    assert len(capsys.readouterr().out.splitlines()) > 15


def test_another_file_is_not_replaced_by_the_figures(generated, trained):
    before = generated.read_bytes()
    config = RobustnessConfig(str(trained), (str(generated),), output=str(generated))
    with pytest.raises(OptionsError, match="is there, and is no figures of triad robustness"):
        verification_run.robustness(config)
    assert generated.read_bytes() == before


def test_records_without_labels_are_refused(trained, tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text('{"id": "a", "text": "fan"}\n')
    with pytest.raises(OptionsError, match="no record has a label of category"):
        verification_run.robustness(RobustnessConfig(str(trained), (str(path),)))


def test_records_that_are_left_out_are_counted_by_reason(trained, generated, tmp_path, caplog):
    rows = [json.loads(line) for line in generated.read_text().splitlines()]
    label = next(row["labels"]["category"] for row in rows if row["labels"].get("category"))
    lines = [
        '{"id": "a", "text": "a fan"}',
        "{",
        json.dumps({"id": "b", "labels": {"category": label}}),
        json.dumps({"id": "c", "text": "a fan", "labels": {"category": label}}),
    ]
    path = tmp_path / "records.jsonl"
    path.write_text("\n".join(lines))
    verification_run.robustness(RobustnessConfig(str(trained), (str(path),)))
    assert [one.getMessage() for one in caplog.records if "left out" in one.getMessage()] == [
        "1 record left out: no label that can be used",
        "1 record left out: not readable",
        "1 record left out: rejected as empty",
    ]


def test_the_command_hands_over_what_was_asked_for():
    seen = []
    argv = ["robustness", "--model", "m", "--input", "a", "--limit", "9", "--output", "o.json"]
    assert main.main(argv, lambda function, config: seen.append(config)) == 0
    assert seen == [RobustnessConfig("m", ("a",), 9, output="o.json")]
