"""Transfer from a pretrained encoder, frozen in the feature graph or fine-tuned, to scores."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import yaml

from tests import encoders
from tests.conftest import RECORDS
from tests.printed import shown
from triad_ml.model.serving import bundle
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.transforms.encoders import efficientnet_lite
from triad_ml.transforms.hashing import file_digest

PICTURES = {
    "modalities": {"image": {"size": 32}, "text": {"vocabulary": 100, "length": 12}},
    "tasks": {"category": {"kind": "classification", "label": "category"}},
    "training": {"epochs": 2, "batch_size": 32},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("transfer")
    encoders.mobile_net(folder / "mobile.weights.h5")
    return folder


def made(folder: Path, generated: Path, name: str, **encoder: Any) -> Path:
    """A model folder, with its preprocessing and its spec beside it."""
    spec = folder / f"{name}.yaml"
    spec.write_text(
        yaml.safe_dump(
            {**PICTURES, "model": {"recipe": "network", "dim": 16, "text_dim": 8, **encoder}}
        )
    )
    data, output = folder / f"{name}-data", folder / name
    preprocessing_run.run(PreprocessConfig(str(spec), (str(generated),), str(data), shards=1))
    training_run.run(TrainConfig(str(data), str(output)))
    return output


@pytest.fixture(scope="module")
def frozen(folder: Path, generated: Path) -> Path:
    mobile = {**encoders.MOBILE_NET, "image_weights": "mobile.weights.h5"}
    mobile |= {"image_layers": ["block_12_add"]}
    return made(folder, generated, "frozen", **mobile)


@pytest.fixture(scope="module")
def tuned(folder: Path, generated: Path) -> Path:
    """Of the first stages of EfficientNet-Lite0: more of it would only be traced for longer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(efficientnet_lite, "STAGES", efficientnet_lite.STAGES[:2])
        encoders.lite(folder / "lite.weights.h5")
        lite = {**encoders.LITE, "image_weights": "lite.weights.h5", "image_freeze": 1}
        return made(folder, generated, "tuned", **lite)


def stored(model: Path) -> dict[str, tf.train.Feature]:
    """The features of a training record."""
    file = next((model.parent / f"{model.name}-data" / "train").glob("*.gz"))
    record = next(iter(tf.data.TFRecordDataset(str(file), "GZIP").as_numpy_iterator()))
    return dict(tf.train.Example.FromString(record).features.feature)


def test_training_files_hold_vectors_where_the_encoder_is_frozen_and_pixels_where_not(
    frozen: Path, tuned: Path
) -> None:
    assert len(stored(frozen)["image"].float_list.value) == 32 + 1280
    assert [len(one) for one in stored(tuned)["image"].bytes_list.value] == [32 * 32 * 3]


@pytest.mark.parametrize("name", ["frozen", "tuned"])
def test_training_and_scoring_see_exactly_the_same(
    request: pytest.FixtureRequest, generated: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    model = request.getfixturevalue(name)
    arguments = ["--model", str(model), "--input", str(generated), "--tolerance", "0"]
    assert main.main(["parity", *arguments]) == 0
    equal = [str(RECORDS), "0", "0", "equal"]
    found = shown(capsys.readouterr().out)
    assert found["image"] == found["category/distribution"] == equal


def test_the_saved_model_takes_bytes_and_needs_no_weights_file(
    frozen: Path, folder: Path, generated: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(frozen, model)
    weights = folder / "mobile.weights.h5"
    hidden = weights.rename(folder / "hidden")
    try:
        arguments = ["--input", str(generated), "--output", str(tmp_path / "scores")]
        date = ["--date", "2026-11-26"]
        assert main.main(["score", "--model", str(model), *arguments, *date]) == 0
    finally:
        hidden.rename(weights)
    loaded = tf.saved_model.load(str(model / "saved_model"))
    inputs = loaded.signatures["serving_default"].structured_input_signature[1]
    assert {name: one.dtype for name, one in inputs.items()} == {
        "image": tf.string,
        "text": tf.string,
    }


def test_the_weights_digest_is_in_the_models_provenance(frozen: Path, folder: Path) -> None:
    about = json.loads((frozen / "triad.json").read_text())
    digest = file_digest(folder / "mobile.weights.h5")
    assert about["digests"]["encoder"] == digest
    assert bundle.load(frozen).spec.model.image_weights_sha256 == digest
    assert about["data"]["digests"]["features"] != about["digests"]["spec"]


def test_other_weights_at_the_same_place_are_refused_by_training(
    tuned: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, kept = folder / "lite.weights.h5", folder / "kept"
    shutil.copy(weights, kept)
    weights.write_bytes(b"others")
    try:
        data = ["--data", str(folder / "tuned-data"), "--output", str(tmp_path / "model")]
        assert main.main(["train", *data]) == 12
    finally:
        kept.replace(weights)
    assert f"triad: {weights}: its SHA-256 is " in capsys.readouterr().err
