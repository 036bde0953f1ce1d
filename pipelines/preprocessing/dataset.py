"""Prepared data: the output folder of a preprocessing, and its manifest.

DATA/manifest.json                  written last
DATA/{train,eval,test}/part-*.tfrecord.gz
DATA/transform/                     tf.Transform's graph, its metadata and the raw schema
DATA/analysis.json                  results of the pass over the training split
DATA/statistics.json
DATA/duplicates.json
DATA/rejected/part-00000.parquet
"""

import dataclasses
import hashlib
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic

from triad_ml.transforms.errors import GateError, OptionsError
from triad_ml.transforms.files import regular
from triad_ml.transforms.hashing import file_digest, tree_digests
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.spec import Spec

MANIFEST = "manifest.json"
WORK = "work"
TRANSFORM = "transform"
ANALYSIS = "analysis.json"
REJECTED = "rejected/part-00000.parquet"

_ANEW = "run triad preprocess with a new --output"
REQUIRED = {
    "classes",
    "digests",
    "files",
    "inputs",
    "key",
    "spec",
    "splits",
    "transform_digest",
    "vocabulary_size",
}
"""Entries of each manifest that is read; an older one may lack others."""

BATCH_SIZE = 48
"""Number of rows in each call of the feature graph and of an exported model.

A product of matrices is computed in blocks of rows, and rows that are left over differ from the
others in their last bits. 48 is a whole number of blocks for the kernels of AVX2 (6 rows) and
AVX-512 (48 rows); with 32, the last two rows of a batch differed from the first thirty.
"""


class _Shard(pydantic.BaseModel, strict=True):
    path: str
    rows: int
    sha256: str


class _Splits(pydantic.BaseModel, strict=True):
    train: list[_Shard]
    eval: list[_Shard]
    test: list[_Shard]


class _Shape(pydantic.BaseModel, strict=True):
    """Types of those entries of a manifest that are used without another check."""

    classes: dict[str, list[str]]
    files: dict[str, str]
    splits: _Splits
    transform_digest: str
    vocabulary_size: int


@dataclasses.dataclass(frozen=True)
class Preprocessed:
    """Prepared data: the complete output of a preprocessing.

    Attributes:
        folder: Output folder.
        manifest: Content of the manifest.
    """

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def spec(self) -> Spec:
        """Spec that the data were prepared with."""
        return loading.parse(json.dumps(self.manifest["spec"]), f"{self.folder}/{MANIFEST}: spec")

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Classes by task, in the order of their ids."""
        return {task: tuple(names) for task, names in self.manifest["classes"].items()}

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids, padding and unknown included; 0 if the spec has no text."""
        return int(self.manifest["vocabulary_size"])

    def files(self, split: str) -> list[str]:
        """Returns the paths of a split's shards."""
        return [str(self.folder / file["path"]) for file in self.manifest["splits"][split]]

    @property
    def shards(self) -> dict[str, tuple[int, str]]:
        """Number of records and SHA-256 of each shard, by path."""
        listed = (file for files in self.manifest["splits"].values() for file in files)
        return {str(self.folder / file["path"]): (file["rows"], file["sha256"]) for file in listed}

    @property
    def transform(self) -> Path:
        """Folder of tf.Transform's graph and metadata."""
        return self.folder / TRANSFORM

    @property
    def transform_files(self) -> dict[str, str]:
        """SHA-256 of each file of the transform graph, by path relative to its folder."""
        files = self.manifest["files"].items()
        return {path.partition("/")[2]: digest for path, digest in files if path != ANALYSIS}

    def analysis(self) -> bytes:
        """Returns the content of `analysis.json`.

        Raises:
            GateError: The content is not what preprocessing wrote.
        """
        content = regular.read(self.folder / ANALYSIS)
        if hashlib.sha256(content).hexdigest() != self.manifest["files"].get(ANALYSIS):
            raise self._torn(ANALYSIS, "is not what preprocessing wrote")
        return content

    def check_files(self) -> None:
        """Refuses a transform graph or an analysis that is not the one that was written.

        The shards are checked when they are read.

        Raises:
            GateError: A file is missing or changed; the message names the first.
        """
        pinned, found = self.manifest["files"], pinned_files(self.folder)
        for path in sorted(pinned.keys() | found.keys()):
            if pinned.get(path) != found.get(path):
                state = "is missing" if path not in found else "is not what preprocessing wrote"
                raise self._torn(path, state)

    def _torn(self, path: str, state: str) -> GateError:
        return GateError(
            f"{self.folder / path}: {state}; its parts do not belong together: {_ANEW}"
        )


def pinned_files(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of the analysis and of the transform graph's files, by relative path."""
    transform = tree_digests(folder / TRANSFORM).items()
    files = {f"{TRANSFORM}/{path}": digest for path, digest in transform}
    analysis = folder / ANALYSIS
    return {ANALYSIS: file_digest(analysis), **files} if analysis.is_file() else files


def read(folder: str | Path) -> Preprocessed:
    """Opens prepared data.

    Raises:
        OptionsError: The folder holds no complete preprocessing.
    """
    folder = Path(folder)
    try:
        content = regular.read(folder / MANIFEST)
    except OSError as error:
        raise OptionsError(_no_preprocessing(folder)) from error
    return Preprocessed(folder, parse(content, str(folder)))


def _no_preprocessing(folder: Path) -> str:
    if folder.is_file():
        return (
            f"{folder}: is a file, and training reads a folder of features; make one with triad "
            f"preprocess --spec SPEC --input {shlex.quote(str(folder))} --output NEW, and name it"
        )
    return f"{folder}: holds no complete preprocessing; name a folder that triad preprocess wrote"


def parse(content: bytes, folder: str) -> dict[str, Any]:
    """Parses the manifest of a folder, local or `gs://`.

    Raises:
        OptionsError: The content is no manifest of a preprocessing, or lacks an entry.
    """
    try:
        manifest: dict[str, Any] = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise OptionsError(
            f"{folder}/{MANIFEST}: is no manifest of a preprocessing; {_ANEW}"
        ) from error
    if not isinstance(manifest, dict) or not manifest.keys() >= REQUIRED:
        missing = ", ".join(sorted(REQUIRED.difference(manifest)))
        raise OptionsError(
            f"{folder}/{MANIFEST}: lacks {missing}: it is of an older version, or no manifest of a "
            f"preprocessing; {_ANEW}"
        )
    try:
        _Shape.model_validate(manifest)
    except pydantic.ValidationError as error:
        entry = ".".join(map(str, error.errors()[0]["loc"]))
        raise OptionsError(
            f"{folder}/{MANIFEST}: {entry} is not what preprocessing wrote; {_ANEW}"
        ) from error
    return manifest
