"""Prism, Beam's local runner for unbounded graphs: a binary that somebody built, as a child."""

import contextlib
import importlib.metadata
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from triad_ml.pipelines.runners import daemons
from triad_ml.pipelines.runners.base import Runner
from triad_ml.transforms.errors import OptionsError, StorageError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

MODULE = "github.com/apache/beam/sdks/v2/go/cmd/prism"
"""The Go module that it is built from."""

PATIENCE = 60.0
"""Seconds that it has to answer."""

# Prism must end with its parent, however that ends; it knows no such thing itself.
_TIED = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class PrismRunner(Runner):
    """Prism as a child of this process; it runs unbounded graphs alone."""

    name = "prism"
    beam_name = "PrismRunner"
    runs_batches = False


def check(path: str | None) -> str:
    """The binary's path, if it can be run. Nothing is ever downloaded.

    Raises:
        OptionsError: Saying how to build one.
    """
    if path is not None and os.path.isfile(path) and os.access(path, os.X_OK):
        return os.path.abspath(path)
    what = "is missing" if path is None else f"{path}: is no program"
    raise OptionsError(
        f"--prism: {what}; build it (GOBIN=FOLDER go install {MODULE}@v{_version()}) and give "
        "FOLDER/prism"
    )


@contextlib.contextmanager
def running(path: str) -> Iterator[str]:
    """Runs Prism on a free port of loopback, and ends it; also if this process is killed.

    It ends with the thread that starts it, so start it in one that lives as long as it is needed.

    Args:
        path: See `check`.

    Yields:
        `HOST:PORT` of its job service.

    Raises:
        StorageError: Where it does not start.
    """
    (port,) = daemons.free()
    arguments = ["--job_port", str(port), "--serve_http=false", "--log_level=warn"]
    command = [sys.executable, "-IS", "-c", _TIED, str(os.getpid()), path, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno())  # noqa: S603
    try:
        deadline = time.monotonic() + PATIENCE
        while not daemons.listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise StorageError(
                    f"{path}: does not start; see what it says above, or build it anew (--prism)"
                )
            time.sleep(0.05)
        yield f"localhost:{port}"
    finally:
        process.kill()
        process.wait()


def beam_options(endpoint: str) -> "PipelineOptions":
    """Beam's options for a pipeline on the Prism that `running` started.

    The steps run in threads of this process.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    arguments = [f"--job_endpoint={endpoint}", "--environment_type=LOOPBACK", "--streaming"]
    return PipelineOptions(arguments, runner=PrismRunner.beam_name)


def _version() -> str:
    return importlib.metadata.version("apache-beam")
