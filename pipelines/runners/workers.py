"""Requirements of workers on other machines: full paths and equal code."""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.typehints.decorators import no_annotations

from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.runners import beam_options
from triad_ml.pipelines.runtime import environment
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.sources import units
from triad_ml.pipelines.storage import opening
from triad_ml.transforms import hashing
from triad_ml.transforms.errors import OptionsError

_Config = TypeVar("_Config", PreprocessConfig, ScoreConfig)

PACKAGES = (*hashing.PACKAGES, "pipelines")
"""Whoever submits a job and its workers must have the same source files in these: in all, since
nobody can say of a file that no step of any job will ever come upon it."""


def with_full_paths(config: _Config) -> _Config:
    """The config with absolute paths, since workers have other working folders.

    Configs of the local runner, and URIs of buckets, stay as they are.
    """
    if not beam_options.is_cluster(config.runner):
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


def full_path(path: str) -> str:
    """The absolute path of what is local, a `file:` URI among it; any other URI as it is."""
    local = opening.local_path(path)
    return path if local is None else os.path.abspath(local)


def _short(value: str) -> str:
    return value[:12]
