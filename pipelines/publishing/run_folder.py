"""Run folders: where a scoring run keeps what, and the manifests that say what is there."""

import dataclasses
import datetime
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import pyarrow as pa

from triad_ml.pipelines.publishing import manifest_json
from triad_ml.pipelines.runtime.names import RUN_ID as RUN_ID
from triad_ml.pipelines.runtime.names import check_date as check_date
from triad_ml.pipelines.tables import rows as tables_rows
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records.values import MODALITIES, Provenance, Scored

Schema = tuple[Mapping[str, str], ...]
"""Columns in their order, see `sinks.described`."""

HIDDEN = "_runs"
"""Folder of a date's runs: readers of whole folders pass over names that begin with `_`."""

_PART = re.compile(r"(scores|_?rejected)/part-(\d{5,})\.(parquet|jsonl)")
_Content = bytes  # a field of that name hides the type


def run_id(
    date: str,
    inputs: Iterable[tuple[str, int, str]],
    provenance: Provenance,
    options: Mapping[str, str],
) -> str:
    """Names a run by everything that decides what it publishes: 24 hexadecimal digits.

    Args:
        date: ISO date that the scores are for.
        inputs: URI, size in bytes and version of each input file, in any order.
        provenance: Of the model and this software.
        options: Whatever else changes the output: its format, how the inputs are cut into units.
    """
    whole = {
        "date": date,
        "inputs": sorted(list(one) for one in inputs),
        "provenance": dataclasses.asdict(provenance),
        "options": dict(options),
    }
    text = json.dumps(whole, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:24]


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """The folder of one run, and the paths in it.

    Attributes:
        output: Local folder or `gs://` prefix that holds all dates.
        date: As `2026-11-24`.
        run_id: See `run_id`.
        visible: Whether it is a run of Triad before 0.2, which lies beside `CURRENT`.
    """

    output: str
    date: str
    run_id: str
    visible: bool = False

    def __post_init__(self) -> None:
        if not self.output:
            raise OptionsError("--output: an empty path; name a folder")
        check_date(self.date)
        if not RUN_ID.fullmatch(self.run_id):
            raise ValueError(f"a run id has 24 hexadecimal digits, got {self.run_id!r}")

    @property
    def date_folder(self) -> str:
        return date_folder(self.output, self.date)

    @property
    def folder(self) -> str:
        parent = self.date_folder if self.visible else f"{self.date_folder}/{HIDDEN}"
        return f"{parent}/run={self.run_id}"

    @property
    def manifest(self) -> str:
        return f"{self.folder}/manifest.json"

    @property
    def units(self) -> str:
        """Folder of the units' manifests and, until the run is published, of their tables."""
        return f"{self.folder}/{'units' if self.visible else '_units'}"

    @property
    def rejected(self) -> str:
        """Folder of the parts of rejected records."""
        return f"{self.folder}/{'rejected' if self.visible else '_rejected'}"

    def unit_manifest(self, unit: int) -> str:
        return f"{self.units}/{unit:05d}.json"

    def unit_scores(self, unit: int) -> str:
        return f"{self.units}/{unit:05d}.scores.parquet"

    def unit_rejected(self, unit: int) -> str:
        return f"{self.units}/{unit:05d}.rejected.parquet"

    def part(self, kind: str, unit: int, format: tables_rows.Format) -> str:
        """The path, relative to the run folder, of a part of `scores` or of `rejected` records."""
        folder = "scores" if kind == "scores" else self.rejected.rpartition("/")[2]
        return f"{folder}/part-{unit:05d}.{format}"

    def path(self, relative: str) -> str:
        """The full path of a file that a manifest lists."""
        return f"{self.folder}/{relative}"


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """What each row and each file of a run has in common.

    Attributes:
        classes: By task, in the order of the columns.
        multi_label: The tasks whose label is a list.
        tagging: The tasks that give spans.
        generation: The tasks that give texts.
        explained: The modalities whose shares stand beside each classification; none if empty.
        modalities: Those that the model knows.
        provenance: Stands in each row.
        format: Of the published files.
    """

    classes: Mapping[str, tuple[str, ...]]
    multi_label: frozenset[str]
    provenance: Provenance
    format: tables_rows.Format = "parquet"
    tagging: frozenset[str] = frozenset()
    generation: frozenset[str] = frozenset()
    explained: tuple[str, ...] = ()
    modalities: tuple[str, ...] = MODALITIES

    def score_table(self, scored: Sequence[Scored]) -> pa.Table:
        """See `sinks.score_table`."""
        return tables_rows.score_table(
            scored,
            self.classes,
            self.multi_label,
            self.provenance,
            self.tagging,
            self.generation,
            self.explained,
        )


@dataclasses.dataclass(frozen=True)
class PartFile:
    """One file of a run; `path` is relative to the run folder."""

    path: str
    rows: int
    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: str, rows: int, content: _Content) -> Self:
        return cls(path, rows, len(content), hashlib.sha256(content).hexdigest())

    @property
    def unit(self) -> int:
        """Index of the unit of work that a part of a sealed run was made from."""
        return int(self.path.rpartition("-")[2].partition(".")[0])

    def holds(self, content: _Content | None) -> bool:
        """Whether this is the content of the file."""
        return (
            content is not None
            and len(content) == self.bytes
            and hashlib.sha256(content).hexdigest() == self.sha256
        )


@dataclasses.dataclass(frozen=True)
class UnitManifest:
    """What a complete unit of work holds: `read` is `scored` and `rejected` together."""

    unit: int
    read: int
    scored: int
    rejected: int
    reasons: Mapping[str, int]
    scores_file: PartFile
    rejected_file: PartFile
    schema: Schema

    def to_json(self) -> bytes:
        return manifest_json.encoded(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, content: bytes) -> Self | None:
        """None where the content is no unit manifest: the unit is not complete then."""
        return manifest_json.parsed(content, cls)


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a run publishes.

    Attributes:
        run_id: Names the run folder.
        date: That the scores are for.
        created: UTC, ISO 8601.
        format: Of the files: `parquet` or `jsonl`.
        units: Number of units of work, each with one part of scores and one of rejected records.
        counts: `read`, `scored` and `rejected` records.
        reasons: Rejected records by reason.
        issues: Media not used, by modality and flaw; of scored records.
        files: Parts of scores in order, then parts of rejected records.
        schema: Columns of the scores.
        classes: By task.
        digests: `model`, `transform`, `spec` and `code`.
        code_version: Of this software.
        about: What the caller adds.
        media: By modality of the model, the records that came with a medium (`had`), and those that
            lost it by flaw (`flaws`); of scored and of unreadable records. Empty in manifests of
            earlier versions.
    """

    run_id: str
    date: str
    created: str
    format: tables_rows.Format
    units: int
    counts: Mapping[str, int]
    reasons: Mapping[str, int]
    issues: Mapping[str, int]
    files: tuple[PartFile, ...]
    schema: Schema
    classes: Mapping[str, tuple[str, ...]]
    digests: Mapping[str, str]
    code_version: str
    about: Mapping[str, Any]
    media: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    @property
    def scores(self) -> tuple[PartFile, ...]:
        return tuple(file for file in self.files if file.path.startswith("scores/"))

    @property
    def rejected(self) -> tuple[PartFile, ...]:
        return tuple(file for file in self.files if not file.path.startswith("scores/"))

    def to_json(self) -> bytes:
        return manifest_json.encoded(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, content: bytes) -> Self | None:
        """None where the content is no manifest, or is not as it was written."""
        manifest = manifest_json.parsed(content, cls)
        return manifest if manifest is not None and manifest._agrees() else None

    def _agrees(self) -> bool:
        """Whether what the manifest says in several places is the same in all of them."""
        rows = {
            "scored": sum(file.rows for file in self.scores),
            "rejected": sum(file.rows for file in self.rejected),
        }
        paths = [_PART.fullmatch(file.path) for file in self.files]
        return (
            {"read": rows["scored"] + rows["rejected"], **rows} == self.counts
            and all(path is not None and path[3] == self.format for path in paths)
            and _in_order(self.scores, self.units)
            and _in_order(self.rejected, self.units)
            and sum(self.reasons.values()) == rows["rejected"]
            and _is_time(self.created)
            and bool(RUN_ID.fullmatch(self.run_id))
        )


def date_folder(output: str, date: str) -> str:
    """The folder of all runs of a date."""
    return f"{output.rstrip('/')}/dt={date}"


def _in_order(parts: Sequence[PartFile], units: int) -> bool:
    return len(parts) == units and [part.unit for part in parts] == list(range(units))


def _is_time(text: str) -> bool:
    try:
        return datetime.datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
