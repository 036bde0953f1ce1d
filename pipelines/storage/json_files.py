"""JSON files, local or in a bucket, for small values and small PCollections."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import apache_beam as beam

from triad_ml.pipelines.storage import atomic


class WriteJson(beam.PTransform):
    """Writes a small PCollection as one JSON list to a file, local or `gs://`.

    Dataclasses become objects.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self._path = path

    def expand(self, values: beam.PCollection[Any]) -> beam.PCollection[None]:
        return values | "ToList" >> beam.combiners.ToList() | "Write" >> beam.Map(self._write)

    def _write(self, values: list[Any]) -> None:
        write(self._path, [_plain(value) for value in values])


def write(path: str | Path, value: Any) -> None:
    """Writes one value as indented JSON, with its keys in their order."""
    atomic.put(str(path), encoded(value))


def encoded(value: Any) -> bytes:
    """Returns the content that `write` writes."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def read(path: str | Path) -> Any:
    """Reads a value that `write` wrote."""
    return json.loads(atomic.read_bytes(str(path)))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value
