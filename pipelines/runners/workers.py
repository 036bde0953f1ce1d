"""Requirements of workers on other machines: full paths and equal code."""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

import apache_beam as beam
from apache_beam.typehints.decorators import no_annotations

from triad_ml.pipelines.runners import registry
from triad_ml.pipelines.runtime import environment
from triad_ml.pipelines.storage import opening
from triad_ml.transforms import hashing
from triad_ml.transforms.errors import OptionsError

_PATHS = ("inputs", "media_roots", "output", "model")
"""The fields of a config that hold one path, or several, which workers open."""


class _HasRunner(Protocol):
    """A frozen dataclass with the settings of a command that runs a pipeline."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def runner(self) -> str: ...


_Config = TypeVar("_Config", bound=_HasRunner)

PACKAGES = (*hashing.PACKAGES, "pipelines")
"""Whoever submits a job and its workers must have the same source files in these: in all, since
nobody can say of a file that no step of any job will ever come upon it."""


def with_full_paths(config: _Config) -> _Config:
    """The config with absolute paths, since workers have other working folders.

    Configs of the local runner, and URIs of buckets, stay as they are.
    """
    if not registry.named(config.runner).is_remote:
        return config
    changes: dict[str, Any] = {}
    for name in config.__dataclass_fields__.keys() & set(_PATHS):
        value = getattr(config, name)
        one = isinstance(value, str)
        changes[name] = full_path(value) if one else tuple(map(full_path, value))
    return dataclasses.replace(config, **changes)


def fingerprint() -> dict[str, str]:
    """What must be equal wherever a part of a job runs: the code, Python and the libraries."""
    return {"code": hashing.code_digest(packages=PACKAGES), **environment.versions()}


class CheckWorkers(beam.PTransform):
    """Work -> the same work, on workers that are like the process which submits the job.

    A worker with other code or libraries raises OptionsError before it reads a record: it could
    give other features and scores, and nobody would see why.

    Args:
        kind: Type of the work: units, or messages.
        expected: The fingerprint that each worker must have; None takes that of this process.
    """

    def __init__(self, kind: type[Any], expected: Mapping[str, str] | None = None) -> None:
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


def full_path(path: str) -> str:
    """The absolute path of what is local, a `file:` URI among it; any other URI as it is."""
    local = opening.local_path(path)
    return path if local is None else os.path.abspath(local)


def _short(value: str) -> str:
    return value[:12]
