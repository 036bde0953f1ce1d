"""Transfer from a pretrained text encoder, frozen or fine-tuned, to scores."""

import functools
import json
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import yaml

from tests import records, text_encoders
from tests.printed import shown
from triad_ml.model.serving import bundle, safety
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.tables import formats
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.transforms.spec import loading

DATE = "2026-11-26"
PIECES, LENGTH, RECORDS = 24, 10, 60
WIDTH = 24
SPEC = {
    "modalities": {"text": {"vocabulary": 60, "length": LENGTH}},
    "tasks": {
        "names": {"kind": "tagging", "label": "names"},
        "verb": {"kind": "classification", "label": "verb"},
    },
    "training": {"epochs": 1, "batch_size": 16, "fine_tune_rate": 1.0, "learning_rate": 0.003},
    "split": {"by": "id", "train": 0.7, "eval": 0.1, "test": 0.2},
}
PEOPLE, PLACES, VERBS = ("Ada", "Bob"), ("New York", "Rome"), ("sees", "likes")

Row = dict[str, Any]


def sentence(rng: random.Random, index: int) -> Row:
    person, place, verb = rng.choice(PEOPLE), rng.choice(PLACES), rng.choice(VERBS)
    whole = f"Today {person} {verb} {place}" + " as all of us know" * (index % 9 == 0)
    found = [(whole.index(one), one, kind) for one, kind in ((person, "who"), (place, "where"))]
    names = [[begin, begin + len(one), kind] for begin, one, kind in found]
    return {"id": f"r{index:03d}", "text": whole, "labels": {"names": names, "verb": verb}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("transfer")
    text_encoders.readable(folder / "encoder")
    rng = random.Random(0)
    rows = [sentence(rng, index) for index in range(RECORDS)]
    rows += [
        {"id": "no words", "text": " \u200b "},
        {"id": "two", "text": "\u00c9t\u00e9 to R\u00f6me."},
        {"id": "empty", "text": ""},
    ]
    records.write_lines(folder / "records.jsonl", rows)
    return folder


def made(folder: Path, name: str, tasks: tuple[str, ...], **encoder: Any) -> Path:
    """A model folder, with its preprocessing and its spec beside it."""
    spec = folder / f"{name}.yaml"
    model = {
        "recipe": "network",
        "dim": 16,
        "text_dim": 8,
        "text_encoder": "bert",
        "text_weights": "encoder",
    }
    model |= {"text_pieces": PIECES, **encoder}
    chosen = {"tasks": {task: SPEC["tasks"][task] for task in tasks}}
    spec.write_text(yaml.safe_dump({**SPEC, **chosen, "model": model}))
    data, output = folder / f"{name}-data", folder / name
    inputs = (str(folder / "records.jsonl"),)
    preprocessing_run.run(
        PreprocessConfig(str(spec), inputs, str(data), shards=1, rejected_limit=0.1)
    )
    training_run.run(TrainConfig(str(data), str(output)))
    return output


@pytest.fixture(scope="module")
def frozen(folder: Path) -> Path:
    return made(folder, "frozen", ("verb",), text_freeze=True)


@pytest.fixture(scope="module")
def tuned(folder: Path) -> Path:
    return made(folder, "tuned", ("names", "verb"), text_freeze=1)


@pytest.fixture(params=["frozen", "tuned"])
def model(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


def stored(model: Path) -> list[Mapping[str, tf.train.Feature]]:
    """The features of the training records."""
    files = (model.parent / f"{model.name}-data" / "train").glob("*.gz")
    found = tf.data.TFRecordDataset([str(file) for file in files], "GZIP").as_numpy_iterator()
    return [tf.train.Example.FromString(record).features.feature for record in found]


def test_training_files_hold_vectors_where_the_encoder_is_frozen_and_pieces_where_not(
    frozen: Path, tuned: Path
) -> None:
    first = stored(frozen)[0]
    assert len(first["text_vector"].float_list.value) == WIDTH
    assert "text_pieces" not in first
    (row,) = (row for row in stored(tuned) if row["id"].bytes_list.value[0] == b"r001")
    ids = [one for one in row["text_pieces"].int64_list.value if one >= 0]
    pieces = [text_encoders.PIECES[one] for one in ids]
    assert len(row["text_pieces"].int64_list.value) == PIECES
    assert (pieces[0], pieces[-1]) == ("[CLS]", "[SEP]")
    places = list(row["text_first_piece"].int64_list.value)
    text = json.loads((tuned.parent / "records.jsonl").read_text().splitlines()[1])["text"]
    words = text.lower().split()
    assert [pieces[place][0] for place in places[: len(words)]] == [word[0] for word in words]
    assert places[len(words) :] == [-1] * (LENGTH - len(words))


def test_training_and_scoring_see_exactly_the_same(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", str(model), "--input", str(model.parent / "records.jsonl")]
    assert main.main(["parity", *arguments, "--tolerance", "0"]) == 0
    found = shown(capsys.readouterr().out)
    assert {row[-1] for row in found.values()} == {"equal"}
    assert {"text_vector", "text_pieces"} & set(found)


def read(model: Path) -> list[Row]:
    return [json.loads(line) for line in (model.parent / "records.jsonl").read_text().splitlines()]


@functools.cache
def served(model: Path) -> Any:
    return tf.saved_model.load(str(model / bundle.SAVED_MODEL))


def outputs(model: Path, texts: list[str]) -> dict[str, Any]:
    """Outputs of the SavedModel."""
    found = served(model).signatures["serving_default"](text=tf.constant(texts))
    return {name: value.numpy() for name, value in found.items()}


def test_scores_and_explanations_are_those_of_the_saved_model_without_the_weights_file(
    model: Path, tmp_path: Path
) -> None:
    weights = model.parent / "encoder"
    hidden = weights.rename(model.parent / "hidden")
    inputs, output = (str(model.parent / "records.jsonl"),), str(tmp_path / "scores")
    try:
        scoring_run.run(
            ScoreConfig(str(model), inputs, output, DATE, rejected_limit=0.1, explain=True)
        )
    finally:
        hidden.rename(weights)
    paths = publish.open_current(output, DATE)
    rows = {row["id"]: row for path in paths for row in formats.read(path).to_pylist()}
    texts = {row["id"]: row["text"] for row in read(model) if row["id"] in rows}
    plain = outputs(model, list(texts.values()))
    assert len(texts) == RECORDS + 2
    for place, record_id in enumerate(texts):
        said = rows[record_id]["verb"]
        assert said["label"] == plain["verb/label"][place].decode()
        assert said["score"] == pytest.approx(plain["verb/score"][place], abs=1e-6)
        shares = said["explanation"]["baseline"] + said["explanation"]["text"]
        assert abs(shares - said["score"]) < 1e-5


def test_a_row_depends_on_itself_alone(model: Path) -> None:
    texts = [row["text"] for row in read(model)]
    whole = outputs(model, texts[:48])
    order = np.random.default_rng(0).permutation(48)
    again = outputs(model, [texts[place] for place in order])
    for name, values in whole.items():
        np.testing.assert_array_equal(again[name], values[order], err_msg=name)


def test_the_model_is_safe_and_holds_each_weight_once(model: Path) -> None:
    safety.check_folder(model / bundle.SAVED_MODEL)
    variables = str(model / bundle.SAVED_MODEL / "variables" / "variables")
    shapes = [shape for _, shape in tf.train.list_variables(variables)]
    assert shapes.count([len(text_encoders.PIECES), WIDTH]) == 1


def test_fine_tuning_changes_the_layers_that_are_not_frozen(tuned: Path, folder: Path) -> None:
    variables = str(tuned / bundle.SAVED_MODEL / "variables" / "variables")
    found = [
        tf.train.load_variable(variables, name).tobytes()
        for name, shape in tf.train.list_variables(variables)
        if shape in ([WIDTH, 40], [len(text_encoders.PIECES), WIDTH])
    ]
    config = {**text_encoders.BERT, "vocab_size": len(text_encoders.PIECES)}
    arrays = text_encoders.tensors(config)
    inner = "encoder.layer.{}.intermediate.dense.weight"
    assert arrays["embeddings.word_embeddings.weight"].tobytes() in found
    assert np.ascontiguousarray(arrays[inner.format(0)].T).tobytes() in found
    assert np.ascontiguousarray(arrays[inner.format(1)].T).tobytes() not in found


def test_the_folders_digest_is_in_the_models_provenance(model: Path) -> None:
    about = json.loads((model / "triad.json").read_text())
    pinned = bundle.load(model).spec.model.text_weights_sha256
    assert about["digests"]["text_encoder"] == pinned
    assert len(str(pinned)) == 64


def test_changed_weights_are_refused(
    frozen: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pinned = loading.load(folder / "frozen.yaml").model.text_weights_sha256
    spec = yaml.safe_load((folder / "frozen.yaml").read_text())
    spec["model"] |= {"text_weights_sha256": pinned, "text_weights": "other"}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    shutil.copytree(folder / "encoder", tmp_path / "other")
    text_encoders.readable(tmp_path / "other", seed=1)
    arguments = ["--spec", str(tmp_path / "spec.yaml"), "--input", str(folder / "records.jsonl")]
    assert main.main(["preprocess", *arguments, "--output", str(tmp_path / "data")]) == 12
    assert "its SHA-256 is" in capsys.readouterr().err
