"""What runners on other machines need: full paths, equal workers, errors that arrive as text."""

import contextlib
import dataclasses
import errno
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import apache_beam as beam
import grpc
from apache_beam.typehints.decorators import no_annotations

from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.config import PreprocessConfig, ScoreConfig
from triad_ml.pipelines.runtime import environment, failures
from triad_ml.pipelines.sources import units
from triad_ml.pipelines.storage import opening
from triad_ml.transforms import errors, hashing
from triad_ml.transforms.errors import OptionsError, StorageError, TriadError

_Config = TypeVar("_Config", PreprocessConfig, ScoreConfig)

PACKAGES = (*hashing.PACKAGES, "pipelines")
"""Whoever submits a job and its workers must have the same source files in these: in all, since
nobody can say of a file that no step of any job will ever come upon it."""

_TYPED = re.compile(r"^transforms\.errors\.(?P<name>\w+): (?P<line>.+)$", re.MULTILINE)
_SYSTEM = re.compile(
    r"^\w*Error: \[Errno (?P<code>\d+)\] (?P<reason>[^:\n]+)(?:: '(?P<path>[^'\n]*)')?",
    re.MULTILINE,
)
_TRACEBACK = "Traceback (most recent call last)"


def with_full_paths(config: _Config) -> _Config:
    """The config with absolute paths, since workers have other working folders.

    Configs of the local runner, and URIs of buckets, stay as they are.
    """
    if not flags.is_cluster(config.runner):
        return config
    changes: dict[str, Any] = {
        "inputs": tuple(map(full_path, config.inputs)),
        "media_roots": tuple(map(full_path, config.media_roots)),
        "output": full_path(config.output),
    }
    if isinstance(config, ScoreConfig):
        changes["model"] = full_path(config.model)
    return dataclasses.replace(config, **changes)


def fingerprint() -> dict[str, str]:
    """What must be equal wherever a part of a job runs: the code, Python and the libraries."""
    return {"code": hashing.code_digest(packages=PACKAGES), **environment.versions()}


class CheckWorkers(beam.PTransform):
    """Work -> the same work, on workers that are like the process which submits the job.

    A worker with other code or libraries raises OptionsError before it reads a record: it could
    give other features and scores, and nobody would see why.

    Args:
        expected: The fingerprint that each worker must have.
        kind: What the work is: units, or messages.
    """

    def __init__(
        self, expected: Mapping[str, str] | None = None, kind: type[Any] = units.Unit
    ) -> None:
        super().__init__()
        self._kind = kind
        self._expected = dict(fingerprint() if expected is None else expected)

    @no_annotations
    def expand(self, work: beam.PCollection[Any]) -> beam.PCollection[Any]:
        check = beam.ParDo(_CheckDoFn(self._expected)).with_output_types(self._kind)
        return work | "Compare" >> check


class _CheckDoFn(beam.DoFn):
    def __init__(self, expected: Mapping[str, str]) -> None:
        self._expected = expected

    def setup(self) -> None:
        found = fingerprint()
        self._differing = {
            name: (found.get(name, "none"), wanted)
            for name, wanted in self._expected.items()
            if found.get(name) != wanted
        }

    @no_annotations
    def process(self, work: Any) -> Iterator[Any]:
        # Not in `setup`: Flink waits three minutes for a first worker that fails there, and then
        # does not say why.
        for name, (mine, wanted) in self._differing.items():
            raise OptionsError(
                f"worker: has {name} {_short(mine)}, and the job was submitted with "
                f"{_short(wanted)}; install the same on both"
            )
        yield work


@contextlib.contextmanager
def errors_of_workers(runner: str) -> Iterator[None]:
    """Raises, for what a job on a cluster fails with, what the local runner would raise.

    Raises:
        TriadError: What a worker raised; it arrives as the text of a traceback.
        OSError: Of a worker's file system, likewise.
        StorageError: Where the cluster fails: nothing answers, or a part of it was lost.
    """
    try:
        yield
    except Exception as error:
        if not flags.is_cluster(runner) or failures.explain(error) is not None:
            raise
        told = _of_connection(error) or of_text(str(error))
        if told is None:
            raise
        raise told from error


def of_text(text: str) -> TriadError | OSError | None:
    """The error that a failed job's text tells of; None where it is the traceback of a bug."""
    typed = _TYPED.search(text)
    if typed is not None:
        kind = getattr(errors, typed["name"], None)
        if isinstance(kind, type) and issubclass(kind, TriadError):
            return kind(typed["line"])
    system = _SYSTEM.search(text)
    if system is not None and int(system["code"]) in errno.errorcode:
        return OSError(int(system["code"]), system["reason"].strip(), system["path"])
    if _TRACEBACK in text:
        return None
    line = " ".join(text.split())[:300]
    return StorageError(
        f"cluster: {line}; look into its logs, then run the same command again: "
        "what is complete is not done again"
    )


def _of_connection(error: Exception) -> StorageError | None:
    if isinstance(error, grpc.FutureTimeoutError):
        return StorageError(
            "job server: does not answer; start it (triad flink up) or give its address "
            "(-- --job_endpoint=HOST:PORT)"
        )
    if isinstance(error, grpc.RpcError):
        said = error.details() if isinstance(error, grpc.Call) else str(error)
        return StorageError(
            f"job server: {' '.join(str(said).split())}; see that it runs, "
            "then run the same command again"
        )
    return None


def full_path(path: str) -> str:
    """The absolute path of what is local, a `file:` URI among it; any other URI as it is."""
    local = opening.local_path(path)
    return path if local is None else os.path.abspath(local)


def _short(value: str) -> str:
    return value[:12]
