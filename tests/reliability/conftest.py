"""Fixtures of these tests: a flaky storage, and a model that loads quickly."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.once import made_once
from tests.reliability import flaky_storage
from tests.reliability.flaky_storage import FlakyStorage

TEXT_SPEC = """
modalities: {text: {tokens: word, vocabulary: 100, length: 12}}
tasks: {category: {kind: classification, label: category}}
model: {recipe: network, dim: 8, text_dim: 8}
training: {epochs: 1, batch_size: 16}
"""


@pytest.fixture(scope="session")
def text_model(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of texts alone: for what is killed again and again, and loads it each time."""
    from triad_ml.pipelines.preprocessing import run as preprocessing_run
    from triad_ml.pipelines.preprocessing.config import PreprocessConfig
    from triad_ml.pipelines.training import run as training_run
    from triad_ml.pipelines.training.config import TrainConfig

    def make(folder: Path) -> None:
        spec, data = folder / "spec.yaml", str(folder / "data")
        spec.write_text(TEXT_SPEC)
        given = (str(generated),)  # some have no text
        preprocessing_run.run(
            PreprocessConfig(str(spec), given, data, shards=1, rejected_limit=0.5)
        )
        training_run.run(TrainConfig(data, str(folder / "model")))

    return made_once(tmp_path_factory, "texts", make) / "model"


@pytest.fixture(scope="session")
def storage_server() -> Iterator[FlakyStorage]:
    with flaky_storage.serve() as flaky:
        yield flaky


@pytest.fixture
def flaky(storage_server: FlakyStorage, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlakyStorage]:
    """An empty bucket, and an environment in which every client of this process goes to it."""
    storage_server.clear()
    for name, value in storage_server.environment.items():
        monkeypatch.setenv(name, value)
    flaky_storage.forget_clients()
    yield storage_server
    flaky_storage.forget_clients()
