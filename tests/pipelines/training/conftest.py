"""Two models with an encoder for each modality: frozen in the feature graph, and fine-tuned."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import audio_encoders, encoders, records, text_encoders
from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.transforms.encoders import efficientnet_lite, whisper

RECORDS = 60
SPEC: dict[str, Any] = {
    "modalities": {
        "image": {"size": 32},
        "audio": {"seconds": 0.4},
        "text": {"vocabulary": 60, "length": 10},
    },
    "training": {"epochs": 1, "batch_size": 16, "fine_tune_rate": 1.0, "learning_rate": 0.003},
    "split": {"by": "id", "train": 0.7, "eval": 0.1, "test": 0.2},
}
NAMES = {"kind": "tagging", "label": "names"}
VERB = {"kind": "classification", "label": "verb"}
MODEL = {
    **{"recipe": "network", "dim": 16, "text_dim": 8, "text_pieces": 24},
    **{"audio_encoder": "whisper", "audio_weights": "tiny.safetensors"},
    **{"text_encoder": "bert", "text_weights": "encoder"},
}
FROZEN = {
    **encoders.MOBILE_NET,
    **{"image_weights": "mobile.weights.h5", "image_layers": ["block_12_add"]},
    **{"audio_pooling": "statistics", "audio_layers": [0], "text_freeze": True},
}
TUNED = {
    **encoders.LITE,
    **{"image_weights": "lite.weights.h5", "image_freeze": 1},
    **{"audio_freeze": False, "text_freeze": 1},
}
WHISPER = whisper.Config(bins=80, width=8, layers=1, heads=2, hidden=16, positions=60)
PEOPLE, PLACES, VERBS = ("Ada", "Bob"), ("New York", "Rome"), ("sees", "likes")

Row = dict[str, Any]


def sentence(index: int) -> Row:
    """A text with its labels."""
    rng = random.Random(index)
    person, place, verb = rng.choice(PEOPLE), rng.choice(PLACES), rng.choice(VERBS)
    whole = f"Today {person} {verb} {place}" + " as all of us know" * (index % 9 == 0)
    found = [(whole.index(one), one, kind) for one, kind in ((person, "who"), (place, "where"))]
    names = [[begin, begin + len(one), kind] for begin, one, kind in found]
    return {"text": whole, "labels": {"names": names, "verb": verb}}


@pytest.fixture(scope="session")
def encoded(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with records, their media, and weights of encoders."""
    folder = tmp_path_factory.mktemp("encoded")
    shutil.copytree(generated.parent / "media", folder / "media")
    lines = generated.read_text(encoding="utf-8").splitlines()[:RECORDS]
    rows = [json.loads(line) | sentence(index) for index, line in enumerate(lines)]
    rows += [
        {"id": "no words", "text": " \u200b "},
        {"id": "two", "text": "\u00c9t\u00e9 to R\u00f6me."},
        {"id": "empty", "text": ""},
    ]
    records.write_lines(folder / "records.jsonl", rows)
    encoders.mobile_net(folder / "mobile.weights.h5")
    audio_encoders.write_whisper(folder / "tiny.safetensors", config=WHISPER)
    text_encoders.readable(folder / "encoder")
    return folder


def made(folder: Path, name: str, tasks: dict[str, Any], model: dict[str, Any]) -> Path:
    """Trains a model in a folder, with its preprocessing and its spec beside it."""
    spec = folder / f"{name}.yaml"
    spec.write_text(yaml.safe_dump({**SPEC, "tasks": tasks, "model": {**MODEL, **model}}))
    data, inputs = folder / f"{name}-data", (str(folder / "records.jsonl"),)
    preprocessing_run.run(
        PreprocessConfig(str(spec), inputs, str(data), shards=1, rejected_limit=0.1)
    )
    training_run.run(TrainConfig(str(data), str(folder / name)))
    return folder / name


@pytest.fixture(scope="session")
def frozen(encoded: Path) -> Path:
    """Returns the folder of a model whose training files hold the vectors of the encoders."""
    return made(encoded, "frozen", {"verb": VERB}, FROZEN)


@pytest.fixture(scope="session")
def tuned(encoded: Path) -> Path:
    """Returns the folder of a model whose encoders were fine-tuned.

    The image encoder has the first stages of EfficientNet-Lite0: more of it would only be traced
    for longer.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(efficientnet_lite, "STAGES", efficientnet_lite.STAGES[:2])
        encoders.lite(encoded / "lite.weights.h5")
        return made(encoded, "tuned", {"names": NAMES, "verb": VERB}, TUNED)


@pytest.fixture(params=["frozen", "tuned"])
def model(request: pytest.FixtureRequest) -> Path:
    """Each of the two models."""
    found: Path = request.getfixturevalue(request.param)
    return found
