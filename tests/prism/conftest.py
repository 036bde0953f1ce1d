"""Fixtures: Prism, built once into the user's cache, and one running instance for these tests."""

import fcntl
import importlib.metadata
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from triad_ml.pipelines.runners import java, prism

MINUTES = 15
"""How long a build may take on a busy machine."""


@pytest.fixture(scope="session")
def prism_path() -> str:
    """The binary of Beam's own version; skips where it cannot be built."""
    version = importlib.metadata.version("apache-beam")
    folder = java.cache("prism") / version
    binary = folder / "prism"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may build it: it takes minutes
        if not binary.exists():
            _build(version, folder)
    return str(binary)


@pytest.fixture(scope="session")
def endpoint(prism_path: str) -> Iterator[str]:
    """The job service of a running Prism."""
    with prism.running(prism_path) as found:
        yield found


def _build(version: str, folder: Path) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("Prism is not there, and go is not installed to build it")
    command = [go, "install", f"{prism.MODULE}@v{version}"]
    try:
        subprocess.run(
            command,
            check=True,
            env={**os.environ, "GOBIN": str(folder)},
            capture_output=True,
            text=True,
            timeout=60 * MINUTES,
        )
    except subprocess.CalledProcessError as error:
        pytest.skip(f"Prism cannot be built here: {error.stderr.strip().splitlines()[-1]}")
    except subprocess.TimeoutExpired:
        pytest.skip(f"Prism was not built in {MINUTES} minutes")
