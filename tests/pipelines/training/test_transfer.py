"""Transfer from pretrained encoders, frozen in the feature graph or fine-tuned, to scores."""

import functools
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import yaml

from tests import records, text_encoders
from tests.pipelines.training.conftest import MODEL, RECORDS, SPEC, VERB, VERBS, Row
from tests.printed import shown
from triad_ml.model.serving import bundle, safety
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.tables import formats
from triad_ml.transforms.features.analyzers import Analysis, KnownAnalyzers
from triad_ml.transforms.graph import preprocessing_fn
from triad_ml.transforms.hashing import file_digest
from triad_ml.transforms.spec import loading

DATE = "2026-11-26"
SCORE = """
import json, sys
from triad_ml.pipelines.cli import main

status = main.main(sys.argv[1:])
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
sys.exit(status)
"""
TRAINING = {
    *("cv2", "keras_hub", "librosa", "llvmlite", "nltk", "numba", "pooch", "safetensors"),
    *("tensorflow_text", "tokenizers", "torch", "transformers"),
}
"""Modules that scoring never needs."""


def stored(model: Path) -> dict[str, dict[str, tf.train.Feature]]:
    """The features of the training records by id."""
    files = (model.parent / f"{model.name}-data" / "train").glob("*.gz")
    found = {}
    for one in tf.data.TFRecordDataset([str(file) for file in files], "GZIP").as_numpy_iterator():
        feature = dict(tf.train.Example.FromString(one).features.feature)
        found[feature["id"].bytes_list.value[0].decode()] = feature
    return found


def texts_of(model: Path) -> dict[str, str]:
    """The texts of the records with words, by id."""
    lines = (model.parent / "records.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return {row["id"]: row["text"] for row in rows if row["text"].strip(" \u200b")}


@pytest.fixture
def no_weights(encoded: Path) -> Iterator[None]:
    """Takes the weights of all encoders away during a test."""
    names = ["mobile.weights.h5", "lite.weights.h5", "tiny.safetensors", "encoder"]
    there = [encoded / name for name in names if (encoded / name).exists()]
    for path in there:
        path.rename(path.with_name(f"hidden {path.name}"))
    yield
    for path in there:
        path.with_name(f"hidden {path.name}").rename(path)


def test_training_files_hold_the_vectors_of_frozen_encoders(frozen: Path) -> None:
    feature = min(stored(frozen).items())[1]
    assert len(feature["image"].float_list.value) == 32 + 1280
    assert len(feature["audio"].float_list.value) == 2 * 4 * 8
    assert len(feature["text_vector"].float_list.value) == text_encoders.BERT["hidden_size"]
    assert "text_pieces" not in feature


def test_training_files_hold_what_encoders_read_where_they_are_fine_tuned(tuned: Path) -> None:
    record_id, feature = sorted(stored(tuned).items())[1]  # all of its text fits
    assert [len(one) for one in feature["image"].bytes_list.value] == [32 * 32 * 3]
    assert len(feature["audio"].float_list.value) == 40 * 80
    assert "text_vector" not in feature
    ids = list(feature["text_pieces"].int64_list.value)
    assert len(ids) == MODEL["text_pieces"]
    pieces = [text_encoders.PIECES[one] for one in ids if one >= 0]
    assert (pieces[0], pieces[-1]) == ("[CLS]", "[SEP]")
    places = list(feature["text_first_piece"].int64_list.value)
    words = texts_of(tuned)[record_id].lower().split()
    assert [pieces[place][0] for place in places[: len(words)]] == [word[0] for word in words]
    length = SPEC["modalities"]["text"]["length"]
    assert places[len(words) :] == [-1] * (length - len(words))


class Seen(KnownAnalyzers):
    """Analyzers of a known analysis that keep the tensors that they are given."""

    def __init__(self, analysis: Analysis) -> None:
        super().__init__(analysis)
        self.analyzed: list[tf.Tensor] = []

    def vocabulary_ids(self, values: tf.Tensor, *arguments: Any, **options: Any) -> tf.Tensor:
        self.analyzed.append(values)
        return super().vocabulary_ids(values, *arguments, **options)


def needed(tensor: tf.Tensor) -> set[tf.Operation]:
    """All operations that run before a tensor is known."""
    found, rest = set(), [tensor.op]
    while rest:
        one = rest.pop()
        if one not in found:
            found.add(one)
            rest += [*(value.op for value in one.inputs), *one.control_inputs]
    return found


def test_encoders_run_one_after_the_other_and_not_in_the_analysis(frozen: Path) -> None:
    spec = loading.load(str(frozen.parent / "frozen.yaml"))
    known = Seen(Analysis({"text_vocabulary": ("a",), "label_verb_vocabulary": VERBS}, {}))
    with tf.Graph().as_default():
        inputs = preprocessing_fn.placeholders(spec)
        features = preprocessing_fn.preprocessing_fn(spec, known)(inputs)
    encoded = [features[name] for name in ("image", "audio", "text_vector")]
    for before, after in itertools.pairwise(encoded):
        assert before.op in needed(after)
    assert len(known.analyzed) == 2
    for tensor in known.analyzed:
        assert not needed(tensor) & {one.op for one in encoded}


def test_training_and_scoring_see_exactly_the_same(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", str(model), "--input", str(model.parent / "records.jsonl")]
    assert main.main(["parity", *arguments, "--tolerance", "0"]) == 0
    found = shown(capsys.readouterr().out)
    assert {row[-1] for row in found.values()} == {"equal"}
    assert found["image"] == found["audio"] == found["verb/distribution"]
    assert int(found["image"][0]) == RECORDS + 2
    assert {"text_vector", "text_pieces"} & set(found)


def test_scoring_needs_no_file_of_weights_and_no_module_of_training(
    frozen: Path, tmp_path: Path, no_weights: None
) -> None:
    command = ["score", "--model", str(frozen), "--input", str(frozen.parent / "records.jsonl")]
    output = ["--output", str(tmp_path / "scores"), "--date", DATE, "--rejected-limit", "0.1"]
    finished = subprocess.run(
        [sys.executable, "-c", SCORE, *command, *output],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    loaded = json.loads(finished.stdout.splitlines()[-1])
    assert {"apache_beam", "tensorflow"} <= set(loaded)
    assert set(loaded).isdisjoint(TRAINING)


@functools.cache
def served(model: Path) -> Any:
    return tf.saved_model.load(str(model / bundle.SAVED_MODEL))


def outputs(model: Path, texts: list[str]) -> dict[str, Any]:
    """Outputs of the SavedModel for records that have a text alone."""
    serve = served(model).signatures["serving_default"]
    none = tf.fill([len(texts)], b"")
    found = serve(image=none, audio=none, text=tf.constant(texts))
    return {name: value.numpy() for name, value in found.items()}


def test_scores_and_explanations_are_those_of_the_saved_model(
    model: Path, tmp_path: Path, no_weights: None
) -> None:
    texts = texts_of(model)
    given: list[Row] = [{"id": record_id, "text": text} for record_id, text in texts.items()]
    inputs = (str(records.write_lines(tmp_path / "texts.jsonl", given)),)
    output = str(tmp_path / "scores")
    scoring_run.run(ScoreConfig(str(model), inputs, output, DATE, explain=True))
    paths = publish.open_current(output, DATE)
    rows = {row["id"]: row for path in paths for row in formats.read(path).to_pylist()}
    plain = outputs(model, list(texts.values()))
    assert set(rows) == set(texts)
    assert len(texts) == RECORDS + 1
    for place, record_id in enumerate(texts):
        said = rows[record_id]["verb"]
        assert said["label"] == plain["verb/label"][place].decode()
        assert said["score"] == pytest.approx(plain["verb/score"][place], abs=1e-6)
        shares = said["explanation"]["baseline"] + said["explanation"]["text"]
        assert abs(shares - said["score"]) < 1e-5


def test_a_row_depends_on_itself_alone(model: Path) -> None:
    texts = list(texts_of(model).values())
    whole = outputs(model, texts[:48])
    order = np.random.default_rng(0).permutation(48)
    again = outputs(model, [texts[place] for place in order])
    for name, values in whole.items():
        np.testing.assert_array_equal(again[name], values[order], err_msg=name)


def test_the_saved_model_is_safe_takes_bytes_and_holds_each_weight_once(model: Path) -> None:
    safety.check_folder(model / bundle.SAVED_MODEL)
    inputs = served(model).signatures["serving_default"].structured_input_signature[1]
    assert {one.dtype for one in inputs.values()} == {tf.string}
    assert set(inputs) == {"image", "audio", "text"}
    variables = str(model / bundle.SAVED_MODEL / "variables" / "variables")
    shapes = [shape for _, shape in tf.train.list_variables(variables)]
    assert shapes.count([len(text_encoders.PIECES), text_encoders.BERT["hidden_size"]]) == 1


def test_fine_tuning_changes_the_layers_that_are_not_frozen(tuned: Path) -> None:
    width, pieces = text_encoders.BERT["hidden_size"], len(text_encoders.PIECES)
    variables = str(tuned / bundle.SAVED_MODEL / "variables" / "variables")
    found = [
        tf.train.load_variable(variables, name).tobytes()
        for name, shape in tf.train.list_variables(variables)
        if shape in ([width, text_encoders.BERT["intermediate_size"]], [pieces, width])
    ]
    arrays = text_encoders.tensors({**text_encoders.BERT, "vocab_size": pieces})
    inner = "encoder.layer.{}.intermediate.dense.weight"
    assert arrays["embeddings.word_embeddings.weight"].tobytes() in found
    assert np.ascontiguousarray(arrays[inner.format(0)].T).tobytes() in found
    assert np.ascontiguousarray(arrays[inner.format(1)].T).tobytes() not in found


def test_the_digests_of_the_weights_are_in_the_models_provenance(model: Path) -> None:
    about = json.loads((model / "triad.json").read_text())
    spec = bundle.load(model).spec.model
    image = "mobile" if model.name == "frozen" else "lite"
    pinned = [spec.image_weights_sha256, spec.audio_weights_sha256, spec.text_weights_sha256]
    assert pinned[:2] == [
        file_digest(model.parent / f"{image}.weights.h5"),
        file_digest(model.parent / "tiny.safetensors"),
    ]
    assert len(str(pinned[2])) == 64
    digests = about["digests"]
    assert [digests[name] for name in ("encoder", "audio_encoder", "text_encoder")] == pinned
    assert about["data"]["digests"]["features"] != digests["spec"]


def test_other_weights_at_the_same_place_are_refused_by_training(
    tuned: Path, encoded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, kept = encoded / "lite.weights.h5", encoded / "kept"
    shutil.copy(weights, kept)
    weights.write_bytes(b"others")
    try:
        data = ["--data", str(encoded / "tuned-data"), "--output", str(tmp_path / "model")]
        assert main.main(["train", *data]) == 12
    finally:
        kept.replace(weights)
    assert f"triad: {weights}: its SHA-256 is " in capsys.readouterr().err


def test_other_weights_than_those_of_the_spec_are_refused_by_preprocessing(
    encoded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = {"text_encoder": "bert", "text_weights": "encoder"}
    spec = {"modalities": {"text": {}}, "tasks": {"verb": VERB}, "model": model}
    path = tmp_path / "spec.yaml"
    shutil.copytree(encoded / "encoder", tmp_path / "encoder")
    path.write_text(yaml.safe_dump(spec))
    model["text_weights_sha256"] = str(loading.load(path).model.text_weights_sha256)
    path.write_text(yaml.safe_dump(spec))
    text_encoders.readable(tmp_path / "encoder", seed=1)
    arguments = ["--spec", str(path), "--input", str(encoded / "records.jsonl")]
    assert main.main(["preprocess", *arguments, "--output", str(tmp_path / "data")]) == 12
    assert "its SHA-256 is" in capsys.readouterr().err
