"""The folder that preprocessing leaves, and its manifest.

DATA/manifest.json                  written last
DATA/{train,eval,test}/part-*.tfrecord.gz
DATA/transform/                     tf.Transform's graph, its metadata and the raw schema
DATA/analysis.json                  what the pass over the training split found
DATA/statistics.json
DATA/rejected/part-00000.parquet
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transforms import spec_files
from transforms.errors import OptionsError
from transforms.spec import Spec

MANIFEST = "manifest.json"
TRANSFORM = "transform"
ANALYSIS = "analysis.json"
STATISTICS = "statistics.json"
REJECTED = "rejected/part-00000.parquet"

BATCH_SIZE = 48
"""Rows of every call of the feature graph and of an exported model.

A product of matrices is computed in blocks of rows, and the last bits of the rows that are left
over differ from those of the others. 48 is a whole number of blocks for the kernels of AVX2 (6
rows) and AVX-512 (48); with 32 the last two rows of a batch were not as the first thirty.
"""


@dataclasses.dataclass(frozen=True)
class Preprocessed:
    """A complete preprocessing.

    Attributes:
        folder: Where it is.
        manifest: As written.
    """

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def spec(self) -> Spec:
        """The spec that it was made from."""
        return spec_files.parse(
            json.dumps(self.manifest["spec"]), f"{self.folder}/{MANIFEST}: spec"
        )

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """By task, the classes in the order of their ids."""
        return {task: tuple(names) for task, names in self.manifest["classes"].items()}

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids, padding and unknown included; 0 where the spec has no text."""
        return int(self.manifest["vocabulary_size"])

    def files(self, split: str) -> list[str]:
        """The shards of a split."""
        return [str(self.folder / file["path"]) for file in self.manifest["splits"][split]]

    @property
    def file_digests(self) -> dict[str, str]:
        """The SHA-256 of each shard, by path."""
        shards = (file for files in self.manifest["splits"].values() for file in files)
        return {str(self.folder / file["path"]): str(file["sha256"]) for file in shards}


def read(folder: str | Path) -> Preprocessed:
    """Opens a complete preprocessing.

    Raises:
        OptionsError: Where there is none.
    """
    folder = Path(folder)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OptionsError(
            f"{folder}: holds no complete preprocessing; run `triad preprocess --output {folder}`"
        ) from error
    return Preprocessed(folder, manifest)
