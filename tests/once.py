"""Folders that are costly to make, made once and shared by the workers of pytest-xdist."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Returns a folder that one worker fills and all workers read.

    Args:
        factory: pytest's factory of the session's temporary folders.
        name: Name of the folder, and of the lock on which other workers wait until it is filled.
        make: Function that fills the empty folder; the leftovers of a failed call are removed by
            the next one.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # folder of the session, which has a folder for each worker
    folder, complete = base / f"shared-{name}", base / f"shared-{name}.complete"
    with (base / f"shared-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            complete.touch()
    return folder
