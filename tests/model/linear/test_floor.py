"""Linear models of planted signals, from training files to figures."""

import logging

import numpy as np
import pytest
import tensorflow as tf

from tests import features
from triad_ml.model.data import datasets, scan
from triad_ml.model.evaluation import document
from triad_ml.model.linear import blocks, floor

LAYOUT = features.layout(
    tasks={"kind": {}, "marks": {"multi_label": True}}, num_classes=3, model={"fusion": "concat"}
)


def survey(tmp_path, made, name="train"):
    return scan.survey(features.write(tmp_path / name, LAYOUT, made), LAYOUT)


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> tuple[floor.Floor, scan.Survey]:
    folder = tmp_path_factory.mktemp("planted")
    train = survey(folder, features.records(LAYOUT, 150, seed=1, missing=0.3))
    test = survey(folder, features.records(LAYOUT, 60, seed=2, missing=0.3), "test")
    return floor.fitted(train, LAYOUT), test


def test_each_modality_and_all_together_find_a_planted_class(planted):
    models, test = planted
    subsets = ["image", "audio", "text", "image+audio+text"]
    assert {task: list(own) for task, own in models.items()} == {"kind": subsets, "marks": subsets}
    found = floor.predicted(models, test, LAYOUT)
    read = blocks.read(test.files, LAYOUT, ["kind", "marks"], test.records)
    for name in features.ALL:
        seen = read.present[name]
        right = found["kind"][name].argmax(axis=1) == read.labels["kind"]
        assert right[seen].mean() > 0.95, name
        assert right[~seen].mean() < 0.7, name
        exact = ((found["marks"][name] > 0.5) == (read.labels["marks"][:, :3] > 0)).all(axis=1)
        assert exact[seen].mean() > 0.9, name
    together = found["kind"]["image+audio+text"].argmax(axis=1) == read.labels["kind"]
    assert together.mean() > 0.97


@pytest.mark.parametrize("resident", [True, False])
def test_records_are_in_the_order_of_evaluation(planted, resident):
    _, test = planted
    records = test.records if resident else None
    found = blocks.read(test.files, LAYOUT, ["kind"], records)
    batches = list(datasets.eval_dataset(test.files, LAYOUT, 16, records))
    real = np.concatenate([batch.ids.numpy() for batch in batches]) != b""
    expected = np.concatenate([batch.labels["kind"].numpy() for batch in batches])[real]
    np.testing.assert_array_equal(found.labels["kind"], expected)
    audio = np.concatenate([batch.features["audio"].numpy() for batch in batches])[real]
    np.testing.assert_allclose(found.views["audio"][:, :8], audio.mean(axis=1), atol=1e-5)


def test_the_document_holds_them_and_names_the_best(planted):
    models, test = planted
    found = floor.predicted(models, test, LAYOUT)["kind"]
    labels = blocks.read(test.files, LAYOUT, ["kind"], test.records).labels["kind"]
    blind = np.full((len(labels), 3), 1 / 3, np.float32)
    evaluated = document.evaluate_task(
        LAYOUT.spec.tasks["kind"],
        LAYOUT.classes["kind"],
        labels,
        blind,
        {},
        np.zeros(len(labels), bool),
        resamples=10,
        linear=found,
    )
    assert list(evaluated["linear"]) == list(found)
    expected = (found["text"].argmax(axis=1) == labels).mean()
    assert evaluated["linear"]["text"]["accuracy"]["value"] == pytest.approx(expected)
    best = document.floor(evaluated)
    assert best is not None
    assert (best.modalities, best.figure, best.beaten) == ("image+audio+text", "accuracy", False)
    assert document.floor({**evaluated, "linear": {}}) is None


def test_a_large_split_is_sampled_and_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(floor, "MOST_RECORDS", 40)
    train = survey(tmp_path, features.records(LAYOUT, 100, seed=1))
    with caplog.at_level(logging.INFO):
        models = floor.fitted(train, LAYOUT)
    assert list(models) == ["kind", "marks"]
    assert "fitted to one of 3 records of the training split" in caplog.text
    assert len(blocks.read(train.files, LAYOUT, ["kind"], train.records, 3).groups) == 34


def test_features_of_an_earlier_version_have_no_linear_models(tmp_path, caplog):
    path = tmp_path / "old.tfrecord.gz"
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for record in features.records(LAYOUT, 8):
            example = tf.train.Example.FromString(features.serialize(record, LAYOUT))
            for name in ("group", "text_grams"):
                del example.features.feature[name]
            writer.write(example.SerializeToString())
    assert floor.fitted(scan.survey([str(path)], LAYOUT), LAYOUT) == {}
    assert "an earlier version wrote these features" in caplog.text


def test_tasks_without_linear_models_cost_no_reading(tmp_path):
    spans = features.layout(["text"], tasks={"names": {"kind": "tagging"}})
    nothing = scan.Survey((), 0, 0, {}, {}, None, {})
    assert floor.fitted(nothing, spans) == {}
    assert floor.predicted({}, nothing, spans) == {}
