"""Prism, Beam's local runner for unbounded graphs: a child process running the user's binary."""

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
"""Go module from which Prism is built."""

PATIENCE = 60.0
"""Seconds that Prism has to answer after its start."""

# Prism must end with its parent, even if that is killed; it has no option for it, so the kernel is
# asked to kill it.
_TIED = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class PrismRunner(Runner):
    """Prism as a child of this process; it only runs unbounded graphs."""

    name = "prism"
    beam_name = "PrismRunner"
    runs_batches = False


def check(path: str | None) -> str:
    """Returns the absolute path of the binary, if it can be run. Nothing is ever downloaded.

    Raises:
        OptionsError: If it cannot be run; the message has the command that builds one.
    """
    if path is not None and os.path.isfile(path) and os.access(path, os.X_OK):
        return os.path.abspath(path)
    problem = "is missing" if path is None else f"{path}: is no program"
    raise OptionsError(
        f"--prism: {problem}; build it (GOBIN=FOLDER go install {MODULE}@v{_version()}) and give "
        "FOLDER/prism"
    )


@contextlib.contextmanager
def running(path: str) -> Iterator[str]:
    """Runs Prism on a free loopback port and ends it afterwards, even if this process is killed.

    Prism ends with the thread that starts it, so that thread must live as long as Prism is needed.

    Args:
        path: Path of the binary, see `check`.

    Yields:
        Address of its job service, `HOST:PORT`.

    Raises:
        StorageError: If it does not start.
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
    """Returns Beam's options for a pipeline on the Prism that `running` started.

    The steps run in threads of this process.

    Args:
        endpoint: Address of the job service, `HOST:PORT`.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    arguments = [f"--job_endpoint={endpoint}", "--environment_type=LOOPBACK", "--streaming"]
    return PipelineOptions(arguments, runner=PrismRunner.beam_name)


def _version() -> str:
    return importlib.metadata.version("apache-beam")
