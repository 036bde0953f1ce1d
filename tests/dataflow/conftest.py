"""Fixtures: Dataflow and Cloud Storage on loopback, a wheel of this checkout, data in a bucket."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from apache_beam.internal.gcp import auth

from tests.dataflow import googleapis, service
from tests.dataflow.service import DataflowService
from tests.reliability import flaky_storage
from tests.reliability.flaky_storage import FlakyStorage
from tests.reliability.nights import write_corpus
from tests.wheels import build_wheel
from triad_ml.pipelines.storage import atomic


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of this checkout installed."""
    folder = tmp_path_factory.mktemp("workers")
    wheel = build_wheel(folder / "built")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
        + ["--target", str(folder / "site"), str(wheel)],
        check=True,
    )
    return folder / "site"


@pytest.fixture(scope="session")
def servers() -> Iterator[tuple[FlakyStorage, DataflowService]]:
    with flaky_storage.serve() as bucket, service.serve() as dataflow:
        yield bucket, dataflow


@pytest.fixture
def bucket(
    servers: tuple[FlakyStorage, DataflowService], monkeypatch: pytest.MonkeyPatch
) -> Iterator[FlakyStorage]:
    """An empty bucket; every client of this process and its children goes to it."""
    found = servers[0]
    found.clear()
    patience = {"TRIAD_GCS_TIMEOUT": "60", "TRIAD_GCS_DEADLINE": "120"}
    for name, value in {**found.environment, **patience}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(auth._Credentials, "_credentials_init", True)  # nobody to ask here
    flaky_storage.forget_clients()
    yield found
    flaky_storage.forget_clients()


@pytest.fixture(scope="session")
def tensorflow_servers(
    servers: tuple[FlakyStorage, DataflowService], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    emulator = servers[0].environment["STORAGE_EMULATOR_HOST"]
    with googleapis.serve(emulator, tmp_path_factory.mktemp("googleapis")) as environment:
        yield environment


@pytest.fixture
def tensorflow_too(
    bucket: FlakyStorage, tensorflow_servers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leads TensorFlow's own gs:// of this process and its children to the bucket."""
    for name, value in tensorflow_servers.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def dataflow(servers: tuple[FlakyStorage, DataflowService]) -> DataflowService:
    servers[1].clear()
    return servers[1]


@pytest.fixture
def cloud(bucket: FlakyStorage, trained: Path, tmp_path: Path) -> str:
    """The bucket's URI, with a model and a small corpus with broken records in it."""
    records = write_corpus(tmp_path / "records")
    for folder, prefix in ((records.parent, "in"), (trained, "model")):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                atomic.put(f"{bucket.uri}/{prefix}/{path.relative_to(folder)}", path.read_bytes())
    return bucket.uri
