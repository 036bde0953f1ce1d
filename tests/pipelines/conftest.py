"""What a command changes in its process is given back after each test."""

import logging
import os
import warnings
from collections.abc import Iterator

import pytest

from pipelines import environment, logs


@pytest.fixture(autouse=True)
def restored_process() -> Iterator[None]:
    """Gives back logging, and the variables that the environment gets by default."""
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
