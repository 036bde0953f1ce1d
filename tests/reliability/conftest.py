"""Fixtures of these tests: a flaky storage."""

from collections.abc import Iterator

import pytest

from tests.reliability import flaky_storage
from tests.reliability.flaky_storage import FlakyStorage


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
