"""Requirements of workers on other machines: absolute paths, and equal code and libraries."""

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
"""Fields of a config that hold one or several paths which workers open."""


class _HasRunner(Protocol):
    """Frozen dataclass with the settings of a command that runs a pipeline."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def runner(self) -> str: ...


_Config = TypeVar("_Config", bound=_HasRunner)

PACKAGES = (*hashing.PACKAGES, "pipelines")
"""Packages whose source files must be equal on the submitting machine and the workers. All files
count, since any of them may be used by a step of some job."""


def with_full_paths(config: _Config) -> _Config:
    """Returns the config with absolute paths, since workers have other working directories.

    Configs of the local runner, and URIs of buckets, are unchanged.
    """
    if not registry.named(config.runner).is_remote:
        return config
    changes: dict[str, Any] = {}
    for name in config.__dataclass_fields__.keys() & set(_PATHS):
        value = getattr(config, name)
        is_single = isinstance(value, str)
        changes[name] = full_path(value) if is_single else tuple(map(full_path, value))
    return dataclasses.replace(config, **changes)


def fingerprint() -> dict[str, str]:
    """Returns code digest, Python version and library versions, which all workers must share."""
    return {"code": hashing.code_digest(packages=PACKAGES), **environment.versions()}


class CheckWorkers(beam.PTransform):
    """Passes work through unchanged, after checking that the worker equals the submitting process.

    A worker with other code or libraries raises OptionsError before it reads a record, since it
    could silently compute other features and scores.

    Args:
        kind: Type of the work: units of work, or messages.
        expected: Fingerprint that each worker must have; None for that of this process.
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
        own = fingerprint()
        self._differing = {
            name: (own.get(name, "none"), wanted)
            for name, wanted in self._expected.items()
            if own.get(name) != wanted
        }

    @no_annotations
    def process(self, work: Any) -> Iterator[Any]:
        # The check is not in `setup`: if the first worker fails there, Flink waits three minutes
        # and then does not report the reason.
        for name, (mine, wanted) in self._differing.items():
            raise OptionsError(
                f"worker: has {name} {_short(mine)}, and the job was submitted with "
                f"{_short(wanted)}; install the same on both"
            )
        yield work


def full_path(path: str) -> str:
    """Returns the absolute path of a local path or `file:` URI; any other URI unchanged."""
    local = opening.local_path(path)
    return path if local is None else os.path.abspath(local)


def _short(value: str) -> str:
    return value[:12]
