"""Transfer from a pretrained audio encoder, frozen or fine-tuned, to scores."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import yaml

from tests import audio_encoders
from tests.conftest import RECORDS
from tests.printed import shown
from triad_ml.model.serving import bundle
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.transforms.encoders import whisper
from triad_ml.transforms.hashing import file_digest

SOUNDS = {
    "modalities": {"audio": {"seconds": 0.4}, "text": {"vocabulary": 100, "length": 12}},
    "tasks": {"category": {"kind": "classification", "label": "category"}},
    "training": {"epochs": 1, "batch_size": 48},
}
CONFIG = whisper.Config(bins=80, width=8, layers=1, heads=2, hidden=16, positions=60)
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("transfer")
    audio_encoders.write_whisper(folder / "tiny.safetensors", config=CONFIG)
    return folder


def made(folder: Path, generated: Path, name: str, **encoder: Any) -> Path:
    """A model folder, with its preprocessing and its spec beside it."""
    spec = folder / f"{name}.yaml"
    model = {"dim": 16, "text_dim": 8, "audio_encoder": "whisper", **encoder}
    model["audio_weights"] = "tiny.safetensors"
    spec.write_text(yaml.safe_dump({**SOUNDS, "model": {"recipe": "network", **model}}))
    data, output = folder / f"{name}-data", folder / name
    preprocessing_run.run(PreprocessConfig(str(spec), (str(generated),), str(data), shards=1))
    training_run.run(TrainConfig(str(data), str(output)))
    return output


@pytest.fixture(scope="module")
def frozen(folder: Path, generated: Path) -> Path:
    return made(folder, generated, "frozen", audio_pooling="statistics", audio_layers=[0])


@pytest.fixture(scope="module")
def tuned(folder: Path, generated: Path) -> Path:
    return made(folder, generated, "tuned", audio_freeze=False)


def stored(model: Path) -> dict[str, tf.train.Feature]:
    """The features of a training record."""
    file = next((model.parent / f"{model.name}-data" / "train").glob("*.gz"))
    record = next(iter(tf.data.TFRecordDataset(str(file), "GZIP").as_numpy_iterator()))
    return dict(tf.train.Example.FromString(record).features.feature)


def test_training_files_hold_vectors_where_the_encoder_is_frozen_and_frames_where_not(
    frozen: Path, tuned: Path
) -> None:
    assert len(stored(frozen)["audio"].float_list.value) == 2 * 4 * 8
    assert len(stored(tuned)["audio"].float_list.value) == 40 * 80


@pytest.mark.parametrize("name", ["frozen", "tuned"])
def test_training_and_scoring_see_exactly_the_same(
    request: pytest.FixtureRequest, generated: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    model = request.getfixturevalue(name)
    arguments = ["--model", str(model), "--input", str(generated), "--tolerance", "0"]
    assert main.main(["parity", *arguments]) == 0
    equal = [str(RECORDS - 1), "0", "0", "equal"]  # one record has an image alone
    found = shown(capsys.readouterr().out)
    assert found["audio"] == found["category/distribution"] == equal


def test_scoring_needs_no_file_of_weights_and_no_module_of_training(
    frozen: Path, folder: Path, generated: Path, tmp_path: Path
) -> None:
    weights = folder / "tiny.safetensors"
    hidden = weights.rename(folder / "hidden")
    command = ["score", "--model", str(frozen), "--input", str(generated)]
    output = ["--output", str(tmp_path / "scores"), "--date", "2026-11-26"]
    try:
        finished = subprocess.run(
            [sys.executable, "-c", SCORE, *command, *output],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        hidden.rename(weights)
    assert finished.returncode == 0, finished.stderr[-2000:]
    loaded = json.loads(finished.stdout.splitlines()[-1])
    assert {"apache_beam", "tensorflow"} <= set(loaded)
    assert set(loaded).isdisjoint(TRAINING)


def test_the_weights_digest_is_in_the_models_provenance(frozen: Path, folder: Path) -> None:
    about = json.loads((frozen / "triad.json").read_text())
    digest = file_digest(folder / "tiny.safetensors")
    assert about["digests"]["audio_encoder"] == digest
    assert bundle.load(frozen).spec.model.audio_weights_sha256 == digest
