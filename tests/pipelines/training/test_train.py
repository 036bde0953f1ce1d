"""Training: its outputs, repeated calls, and exact resumption after an interruption."""

import csv
import hashlib
import importlib.metadata
import json
import logging
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import records
from tests.reliability.forkserver import ForkServer
from triad_ml.model.serving import bundle
from triad_ml.model.serving.scorer import Scorer
from triad_ml.pipelines.preprocessing import dataset
from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.training import ending
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.transforms import hashing
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import CanonicalRecord, RawRecord, Scored
from triad_ml.transforms.spec import split as spec_split
from triad_ml.transforms.version import VERSION

SPEC = """
modalities: {text: {tokens: word, vocabulary: 30, length: 5}}
tasks: {kind: {kind: classification, label: kind}}
model: {recipe: network, dim: 8, text_dim: 8}
training: {epochs: 8, batch_size: 8}
split: {train: 0.6, eval: 0.2, test: 0.2}
"""
EPOCHS = 8
DEADLINE = 120.0
"""Seconds until the first epoch of a tiny training has to be done."""


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The preprocessing of a few texts: what is trained on them is trained fast."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "spec.yaml").write_text(SPEC)
    rng = random.Random(0)
    made = []
    for index in range(60):
        kind = rng.choice(("bird", "fish"))
        words = [*rng.choices(("it", "is", "a", "very", "old"), k=3), kind[: rng.choice((2, 4))]]
        text = " ".join(rng.sample(words, 4))
        made.append({"id": f"t{index}", "text": text, "labels": {"kind": kind}})
    path = records.write_lines(folder / "records.jsonl", made)
    config = PreprocessConfig(
        str(folder / "spec.yaml"), (str(path),), str(folder / "data"), shards=2
    )
    preprocessing_run.run(config)
    return folder / "data"


@pytest.fixture(scope="module")
def uninterrupted(texts: Path) -> Path:
    output = texts.parent / "model"
    training_run.run(TrainConfig(str(texts), str(output)))
    return output


def about_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "triad.json").read_text())


def state(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}


def history_of(folder: Path, *without: str) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return [
            {name: value for name, value in row.items() if name not in without}
            for row in csv.DictReader(file)
        ]


def canonical(path: Path, model: bundle.Artefact) -> list[CanonicalRecord]:
    outcomes = [
        Canonicalizer(model.spec, check=True).canonical(raw)
        for raw in records.read(path, *model.spec.label_names)
        if isinstance(raw, RawRecord)
    ]
    return [one for one in outcomes if isinstance(one, CanonicalRecord)]


def test_a_model_folder_holds_these_files(trained):
    assert sorted(path.name for path in trained.iterdir()) == [
        "MODELCARD.md",
        "analysis.json",
        "data_manifest.json",
        "evaluation.json",
        "history.csv",
        "saved_model",
        "triad.json",
    ]


def test_the_model_says_what_it_is_and_pins_its_files(prepared, trained):
    about = about_of(trained)
    pinned = [trained / "analysis.json", *(trained / "saved_model").rglob("*")]
    assert about["files"] == {
        str(path.relative_to(trained)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in pinned
        if path.is_file()
    }
    data = dataset.read(prepared)
    assert about["triad"] == VERSION
    assert about["spec"] == data.manifest["spec"]
    assert about["classes"] == data.manifest["classes"]
    assert about["vocabulary_size"] == data.vocabulary_size
    assert about["batch_size"] == dataset.BATCH_SIZE
    assert about["digests"] == {
        "model": bundle.model_digest(about["files"], dataset.BATCH_SIZE),
        "transform": data.manifest["transform_digest"],
        "spec": data.spec.digest(),
        "code": hashing.code_digest(),
    }
    assert about["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    for library in ("tensorflow", "keras", "apache-beam", "tensorflow-transform"):
        assert about["versions"][library] == importlib.metadata.version(library)
    assert about["training"]["epochs"] == len(history_of(trained)) == 2
    assert about["training"]["best_epoch"] in (1, 2)
    assert (trained / "analysis.json").read_bytes() == (prepared / "analysis.json").read_bytes()
    assert (trained / "data_manifest.json").read_bytes() == (
        prepared / "manifest.json"
    ).read_bytes()


def test_the_metrics_are_those_of_the_evaluation(trained):
    evaluation = json.loads((trained / "evaluation.json").read_text())
    assert about_of(trained)["metrics"] == {
        split: {
            "category": {
                name: document["tasks"]["category"]["as recorded"][name]["value"]
                for name in ("accuracy", "macro_f1")
            }
        }
        for split, document in evaluation["splits"].items()
    }
    assert evaluation["splits"].keys() == {"eval", "test"}


@pytest.mark.parametrize("split", ["eval", "test"])
def test_the_evaluation_is_what_the_exported_model_scores(generated, trained, split):
    model = bundle.load(trained)
    mine = [
        one
        for one in canonical(generated, model)
        if spec_split.split_of(one.id, one.group, one.split, model.spec.split) == split
    ]
    scored = Scorer(model).score(mine)
    assert all(isinstance(one, Scored) for one in scored)
    classes = model.classes["category"]
    confusion = np.zeros((len(classes), len(classes)), int)
    for record, one in zip(mine, scored, strict=True):
        truth = classes.index(record.labels["category"])
        confusion[truth, classes.index(one.predictions["category"].label)] += 1
    evaluation = json.loads((trained / "evaluation.json").read_text())
    found = evaluation["splits"][split]["tasks"]["category"]["as recorded"]
    assert found["n"] == len(mine) > 5
    assert found["accuracy"]["value"] == confusion.trace() / len(mine)
    assert found["confusion"] == confusion.tolist()


def test_a_second_start_does_nothing_but_say_the_figures_again(prepared, trained, caplog):
    before = state(trained)
    with caplog.at_level(logging.INFO, logger="triad_ml.pipelines.training.plan"):
        assert training_run.run(TrainConfig(str(prepared), str(trained))) == trained / "triad.json"
    assert state(trained) == before
    document = json.loads((trained / "evaluation.json").read_text())
    said = [one.text for one in ending.sentences(document, str(trained))]
    assert any("records of the test split" in line for line in said)
    assert [one.message for one in caplog.records] == [
        *said,
        f"{trained}: already trained on this preprocessing, nothing to do",
    ]


@pytest.mark.parametrize("other", ["settings", "data"])
def test_a_folder_with_another_model_is_refused(prepared, trained, tmp_path, other):
    data, epochs = prepared, 3
    if other == "data":
        data, epochs = Path(shutil.copytree(prepared, tmp_path / "data")), None
        manifest = json.loads((data / "manifest.json").read_text())
        (data / "manifest.json").write_text(json.dumps({**manifest, "key": "another"}))
    before = state(trained)
    with pytest.raises(OptionsError) as refused:
        training_run.run(TrainConfig(str(data), str(trained), epochs=epochs))
    assert str(refused.value) == (
        f"{trained}: holds another model; choose another --output (--fresh would replace it)"
    )
    assert state(trained) == before


def test_data_that_is_none_is_refused(tmp_path):
    with pytest.raises(OptionsError) as refused:
        training_run.run(TrainConfig(str(tmp_path), str(tmp_path / "model")))
    assert str(refused.value) == (
        f"{tmp_path}: holds no complete preprocessing; name a folder that triad preprocess wrote"
    )
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("part", "value", "place"),
    [
        ("classes", {"category": 3}, "classes.category"),
        ("files", ["analysis.json"], "files"),
        ("splits", {"train": [], "test": []}, "splits.eval"),
        ("splits", {"train": [{"path": 3}], "eval": [], "test": []}, "splits.train.0.path"),
        ("vocabulary_size", "many", "vocabulary_size"),
    ],
)
def test_data_with_a_manifest_of_another_form_is_refused(prepared, tmp_path, part, value, place):
    manifest = json.loads((prepared / "manifest.json").read_bytes())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, part: value}))
    with pytest.raises(OptionsError) as refused:
        training_run.run(TrainConfig(str(tmp_path), str(tmp_path / "model")))
    assert str(refused.value) == (
        f"{tmp_path}/manifest.json: {place} is not what preprocessing wrote; run triad preprocess "
        "with a new --output"
    )


def test_a_manifest_nested_too_deeply_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(OptionsError, match="is no manifest of a preprocessing; run triad prep"):
        training_run.run(TrainConfig(str(tmp_path), str(tmp_path / "model")))


@pytest.fixture(scope="module")
def replaced(texts: Path, uninterrupted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in the place of `uninterrupted`, of other settings and of the train split alone."""
    folder = tmp_path_factory.mktemp("replaced")
    data = Path(shutil.copytree(texts, folder / "data"))
    manifest = json.loads((data / "manifest.json").read_text())
    for split in ("eval", "test"):
        manifest["counts"][split], manifest["splits"][split] = 0, []
    (data / "manifest.json").write_text(json.dumps(manifest))
    output = Path(shutil.copytree(uninterrupted, folder / "model"))
    (output / "notes.txt").write_text("mine")
    config = TrainConfig(str(data), str(output), epochs=1, seed=3, batch_size=16, fresh=True)
    training_run.run(config)
    return output


def test_fresh_replaces_a_model_by_one_of_the_settings_given(texts, uninterrupted, replaced):
    model = bundle.load(replaced)
    assert model.model_digest != bundle.load(uninterrupted).model_digest
    given = dataset.read(texts).spec.training
    assert model.spec.training == given.model_copy(
        update={"epochs": 1, "seed": 3, "batch_size": 16}
    )
    assert model.about["training"]["epochs"] == 1
    assert len(history_of(replaced)) == 1
    assert (replaced / "notes.txt").read_text() == "mine"


def test_without_an_eval_and_a_test_split_there_are_no_figures(replaced):
    assert about_of(replaced)["metrics"] == {}


def test_a_training_that_was_killed_goes_on_and_ends_the_same(texts, uninterrupted, fork_server):
    output = texts.parent / "resumed"
    kill_after_first_epoch(fork_server, texts, output)
    assert not (output / "triad.json").exists()
    before = history_of(output / "training")
    assert 1 <= len(before) < EPOCHS
    training_run.run(TrainConfig(str(texts), str(output)))
    assert history_of(output)[: len(before)] == before  # these epochs were not done again
    assert history_of(output, "seconds") == history_of(uninterrupted, "seconds")
    for name in ("evaluation.json", "analysis.json", "data_manifest.json"):
        assert (output / name).read_bytes() == (uninterrupted / name).read_bytes()
    assert sorted(p.name for p in output.iterdir()) == sorted(
        p.name for p in uninterrupted.iterdir()
    )
    mine, theirs = bundle.load(output), bundle.load(uninterrupted)
    asked = canonical(texts.parent / "records.jsonl", mine)[:32]
    found, wanted = Scorer(mine).outputs(asked), Scorer(theirs).outputs(asked)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def kill_after_first_epoch(server: ForkServer, data: Path, output: Path) -> None:
    """Starts the command and kills it as soon as an epoch is in its history."""
    process = subprocess.Popen(
        [str(server.program), "train", "--data", str(data), "--output", str(output)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + DEADLINE
    try:
        # The history is written behind the checkpoint, so both are there.
        while not (output / "training" / "history.csv").exists():
            assert time.monotonic() < deadline, "no epoch in time"
            try:
                process.wait(timeout=0.005)
                raise AssertionError("the command ended before it was killed")
            except subprocess.TimeoutExpired:
                pass
    finally:
        process.kill()
        process.communicate()  # behind the end of the training, which writes there
    assert process.returncode == -signal.SIGKILL
