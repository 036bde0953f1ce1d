"""Fixtures of all tests: one small model, made by the real commands from generated records.

A command's changes to the process are undone after each test.

The fixtures are `generated` -> `prepared` -> `trained`. One worker makes each of them for all
workers; tests that change a folder, or put files into it, copy it first.
"""

import gc
import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples import generated as examples
from tests import beam_signatures, wheels
from tests.once import made_once
from tests.reliability.forkserver import ForkServer
from triad_ml.pipelines.runtime import environment, logs

environment.prepare()
beam_signatures.remember()
# Flink runs for minutes: the JVM's second compiler takes more than it gives back in that time.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")

RECORDS = 120
SPEC = """
modalities:
  image: {size: 32}
  audio: {sample_rate: 16000, seconds: 1, mel_bins: 16}
  text: {tokens: word, vocabulary: 100, length: 12}
tasks:
  category: {kind: classification, label: category}
model: {recipe: network, dim: 16, image_filters: [8], audio_filters: [8], text_dim: 8}
training: {epochs: 2, batch_size: 16}
split: {by: group, train: 0.7, eval: 0.1, test: 0.2}
"""
TEXT_SPEC = """
modalities: {text: {tokens: word, vocabulary: 100, length: 12}}
tasks: {category: {kind: classification, label: category}}
model: {recipe: network, dim: 8, text_dim: 8}
training: {epochs: 1, batch_size: 16}
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs files with slow tests first, so that no worker is alone with such a file at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Excludes imported objects from garbage collection, which took a tenth of the time.

    Tests of memory trace single calls, or measure separate processes with default collection.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(autouse=True)
def restored_process() -> Iterator[None]:
    """Restores logging, and the environment variables that commands set, after each test."""
    variables = {name: os.environ.get(name) for name in environment.DEFAULTS | environment.QUIET}
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs.OWN}
    shown = warnings.showwarning
    yield
    logging.captureWarnings(False)
    warnings.showwarning = shown
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the path of a records file of generated records, with media and a spec beside it."""

    def make(folder: Path) -> None:
        examples.write(folder / "records", RECORDS, seed=0)
        (folder / "spec.yaml").write_text(SPEC)

    return made_once(tmp_path_factory, "generated", make) / "records" / "records.jsonl"


@pytest.fixture(scope="session")
def prepared(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of the prepared data of `generated`."""
    from triad_ml.pipelines.preprocessing import run as preprocessing_run
    from triad_ml.pipelines.preprocessing.config import PreprocessConfig

    def make(folder: Path) -> None:
        spec, output = generated.parents[1] / "spec.yaml", folder / "data"
        preprocessing_run.run(PreprocessConfig(str(spec), (str(generated),), str(output), shards=2))

    return made_once(tmp_path_factory, "prepared", make) / "data"


@pytest.fixture(scope="session")
def trained(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a model that was trained on `prepared`, with `events` beside it."""
    from triad_ml.pipelines.training import run as training_run
    from triad_ml.pipelines.training.config import TrainConfig

    def make(folder: Path) -> None:
        events = str(folder / "events")
        training_run.run(TrainConfig(str(prepared), str(folder / "model"), tensorboard=events))

    return made_once(tmp_path_factory, "trained", make) / "model"


@pytest.fixture(scope="session")
def linear(prepared: Path, generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a model of linear models alone, with its spec beside it."""
    from triad_ml.pipelines.training import run as training_run
    from triad_ml.pipelines.training.config import TrainConfig

    def make(folder: Path) -> None:
        spec = (generated.parents[1] / "spec.yaml").read_text()
        (folder / "spec.yaml").write_text(spec.replace("recipe: network", "recipe: linear"))
        output, own = str(folder / "model"), str(folder / "spec.yaml")
        training_run.run(TrainConfig(str(prepared), output, spec=own))

    return made_once(tmp_path_factory, "linear", make) / "model"


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
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that has the wheel of this checkout, and a `triad` of others."""

    def make(folder: Path) -> None:
        wheels.install(wheels.build_wheel(folder / "built"), folder / "environment")

    return made_once(tmp_path_factory, "installed", make) / "environment" / "bin"


@pytest.fixture(scope="session")
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """Starts `triad` commands as processes that import nothing."""
    with ForkServer(tmp_path_factory.mktemp("forks")) as server:
        yield server


@pytest.fixture
def workplace(
    generated: Path, prepared: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Returns a user's working folder after training: `spec.yaml`, `records`, `prepared`, `model`.

    It is the current directory, so that pages and examples can use these relative paths.
    """
    folder = tmp_path / "workplace"
    folder.mkdir()
    shutil.copy(generated.parents[1] / "spec.yaml", folder)
    (folder / "records").symlink_to(generated.parent)
    shutil.copytree(prepared, folder / "prepared")
    shutil.copytree(trained, folder / "model")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def own_model(trained: Path, tmp_path: Path) -> Path:
    """Returns a copy of `trained` that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "model"))
