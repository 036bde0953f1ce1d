"""Training loop: learning, early stopping, exact resumption, and reuse of a finished training."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import features
from triad_ml.model.data import datasets
from triad_ml.model.evaluation import predict
from triad_ml.model.training import loop
from triad_ml.transforms.errors import OptionsError

SMALL = {"modalities": ["image", "text"], "epochs": 4, "patience": 4}


def layout_of(**options):
    return features.layout(model={"image_filters": [8]}, **{**SMALL, **options})


def write(folder, layout, train=20, evaluated=8, **options):
    made = {"train": features.records(layout, train, seed=0, missing=0.2, **options)}
    if evaluated:
        made["eval"] = features.records(layout, evaluated, seed=1, missing=0.2, **options)
    return {split: features.write(folder / split, layout, some) for split, some in made.items()}


def weights_of(result):
    return [variable.numpy() for variable in result.model.weights]


def assert_same(found, expected):
    assert (found.steps, found.best_epoch) == (expected.steps, expected.best_epoch)
    for one, other in zip(weights_of(found), weights_of(expected), strict=True):
        np.testing.assert_array_equal(one, other)
    without_time = [[{**row, "seconds": 0} for row in r.history] for r in (found, expected)]
    assert without_time[0] == without_time[1]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write(tmp_path_factory.mktemp("records"), layout_of())


@pytest.fixture(scope="module")
def uninterrupted(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    return loop.train(files, layout_of(), folder, "digest"), folder


class Stopped(Exception):
    pass


def test_a_training_that_stopped_after_an_epoch_ends_with_the_same_weights(
    files, uninterrupted, tmp_path
):
    def stop(row):
        if row["epoch"] == 2:
            raise Stopped

    with pytest.raises(Stopped):
        loop.train(files, layout_of(), tmp_path, "digest", on_epoch=stop)
    resumed = loop.train(files, layout_of(), tmp_path, "digest")
    assert resumed.resumed_from == 2
    assert resumed.steps == 4 * 3
    assert_same(resumed, uninterrupted[0])


def test_a_training_that_was_killed_in_an_epoch_ends_with_the_same_weights(
    files, uninterrupted, tmp_path
):
    code = (
        "import sys\n"
        "from triad_ml.model.training import loop as training\n"
        "from tests.model.training import test_loop as t\n"
        "from tests.reliability import faults\n"
        "faults.kill_at_step(epoch=3, step=2)\n"
        "files = {'train': sys.argv[2:4], 'eval': sys.argv[4:6]}\n"
        "training.train(files, t.layout_of(), sys.argv[1], 'digest')\n"
    )
    root = Path(__file__).resolve().parents[3]
    killed = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), *files["train"], *files["eval"]],
        cwd=root,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = loop.train(files, layout_of(), tmp_path, "digest")
    assert resumed.resumed_from == 2
    assert_same(resumed, uninterrupted[0])


def test_a_finished_training_is_not_done_again(files, uninterrupted):
    expected, folder = uninterrupted
    (newest, *_) = sorted((folder / loop.CHECKPOINTS).iterdir(), reverse=True)
    before = newest.stat().st_mtime_ns
    rows = []
    again = loop.train(files, layout_of(), folder, "digest", on_epoch=rows.append)
    assert rows == []
    assert again.resumed_from == 4
    assert newest.stat().st_mtime_ns == before
    assert_same(again, expected)


@pytest.mark.parametrize(
    ("options", "digest"), [({"learning_rate": 0.5}, "digest"), ({}, "another")]
)
def test_a_training_of_another_spec_or_other_files_is_refused(
    files, uninterrupted, options, digest
):
    folder = uninterrupted[1]
    with pytest.raises(OptionsError, match="holds a training of another spec or other data"):
        loop.train(files, layout_of(**options), folder, digest)


def test_the_history_is_a_file_with_one_row_an_epoch(uninterrupted):
    result, folder = uninterrupted
    with open(folder / loop.HISTORY, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "epoch",
        "loss",
        "eval_loss",
        "category_accuracy",
        "learning_rate",
        "seconds",
    ]
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert [float(row["loss"]) for row in rows] == [row["loss"] for row in result.history]
    losses = [row["eval_loss"] for row in result.history]
    assert result.best_epoch == losses.index(min(losses)) + 1


def test_training_finds_a_planted_signal_in_every_modality(tmp_path):
    layout = features.layout(epochs=12, patience=12, learning_rate=3e-3)
    files = write(tmp_path, layout, train=96, evaluated=60)
    result = loop.train(files, layout, tmp_path / "out", "digest")
    dataset = datasets.eval_dataset(files["eval"], layout, 16)

    def accuracy(*hidden):
        found = predict.predict(result.model, dataset, layout, hidden)
        guesses = found.said["category"].argmax(axis=1)
        return (guesses == found.labels["category"]).mean()

    assert accuracy() > 0.9
    assert accuracy("image") > 0.8
    assert accuracy("text") > 0.8
    assert accuracy(*features.ALL) < 0.6


def test_training_stops_when_the_eval_loss_no_longer_falls_and_keeps_the_best(tmp_path):
    layout = layout_of(modalities=["text"], epochs=40, patience=2, learning_rate=0.02)
    files = write(tmp_path, layout, planted=())
    result = loop.train(files, layout, tmp_path / "out", "digest")
    losses = [row["eval_loss"] for row in result.history]
    assert len(losses) == result.best_epoch + 2 < 40
    assert min(losses) == losses[result.best_epoch - 1]
    assert result.steps == 3 * len(losses)


@pytest.mark.parametrize("best_by", ["accuracy", "last"])
def test_the_best_epoch_is_the_one_with_the_most_right_or_the_last_one(tmp_path, best_by):
    settings = {"epochs": 12, "patience": 11, "learning_rate": 0.02, "seed": 2}
    layout = layout_of(modalities=["text"], best_by=best_by, **settings)
    files = write(tmp_path, layout, planted=())
    result = loop.train(files, layout, tmp_path / "out", "digest")
    right = [row["category_accuracy"] for row in result.history]
    best = right.index(max(right)) + 1 if best_by == "accuracy" else 12
    assert (result.best_epoch, len(right)) == (best, 12)
    found = predict.predict(result.model, datasets.eval_dataset(files["eval"], layout, 16), layout)
    guesses = found.said["category"].argmax(axis=1)
    assert (guesses == found.labels["category"]).mean() == pytest.approx(right[best - 1])


def test_without_eval_records_the_last_epoch_counts(tmp_path):
    layout = layout_of(modalities=["text"], epochs=2)
    files = write(tmp_path, layout, evaluated=0)
    result = loop.train(files, layout, tmp_path / "out", "digest")
    assert result.best_epoch == 2
    assert [row["eval_loss"] for row in result.history] == [None, None]


def test_sets_of_classes_and_several_tasks_are_learned_together(tmp_path):
    tasks = {
        "category": {"imbalance": "class_weights"},
        "tags": {"multi_label": True, "imbalance": "class_weights", "weight": 2.0},
    }
    layout = layout_of(modalities=["text"], tasks=tasks, epochs=15, patience=15, learning_rate=0.02)
    files = write(tmp_path, layout, train=60, evaluated=20)
    result = loop.train(files, layout, tmp_path / "out", "digest")
    last = result.history[-1]
    assert last["category_accuracy"] > 0.9
    assert last["tags_accuracy"] > 0.9


@pytest.mark.parametrize(("imbalance", "odds"), [("none", 9), ("logit_adjustment", 1)])
def test_logit_adjustment_forgets_how_frequent_a_class_was(tmp_path, imbalance, odds):
    layout = features.layout(
        ["text"],
        num_classes=2,
        tasks={"category": {"imbalance": imbalance}},
        model={"dropout": 0.0, "modality_dropout": 0.0},
        epochs=4,
        batch_size=40,
        learning_rate=0.05,
        weight_decay=0.0,
        augment=False,
    )
    text = np.full(6, 5, np.int64)  # the same in each record: the class alone is learned
    made = [
        features.FeatureRecord(f"r{place}", text=text, labels={"category": int(place % 10 < 1)})
        for place in range(400)
    ]
    files = {"train": features.write(tmp_path / "train", layout, made)}
    result = loop.train(files, layout, tmp_path / "out", "digest")
    dataset = datasets.eval_dataset(files["train"], layout, 40)
    shares = predict.predict(result.model, dataset, layout).said["category"][0]
    assert shares[0] / shares[1] == pytest.approx(odds, rel=0.15)


def test_predictions_are_of_every_record_in_order(tmp_path, uninterrupted):
    layout = layout_of()
    made = features.records(layout, 5, seed=2, missing=0.3)
    files = features.write(tmp_path, layout, made, 1)
    found = predict.predict(uninterrupted[0].model, datasets.eval_dataset(files, layout, 4), layout)
    assert found.ids == tuple(one.id for one in made)
    assert found.labels["category"].tolist() == [one.labels["category"] for one in made]
    shares = found.said["category"]
    assert shares.shape == (5, 3)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)


def test_no_training_records_is_one_line(tmp_path):
    with pytest.raises(OptionsError, match="^the training split holds no records"):
        loop.train({"train": []}, layout_of(), tmp_path, "digest")


def test_a_loss_that_is_not_finite_names_the_remedy(tmp_path):
    layout = layout_of(modalities=["audio"])
    made = features.records(layout, 8)
    broken = np.full_like(made[0].audio, np.nan)
    made[0] = features.FeatureRecord("broken", audio=broken, labels=made[0].labels)
    files = {"train": features.write(tmp_path / "train", layout, made)}
    with pytest.raises(OptionsError, match=r"^training diverged: loss is nan in epoch 1; lower"):
        loop.train(files, layout, tmp_path / "out", "digest")


@pytest.mark.parametrize(
    ("num_records", "expected"), [(1, (1, 1)), (32, (1, 32)), (33, (2, 17)), (101, (4, 26))]
)
def test_batches_are_as_few_as_may_be_and_even(num_records, expected):
    assert loop.even_batches(num_records, 32) == expected
