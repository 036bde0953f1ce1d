"""Manifests of units of work and of runs: frozen values, stored as JSON with its SHA-256."""

import dataclasses
import datetime
import functools
import hashlib
import json
import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, Self, TypeVar

import pydantic

from triad_ml.pipelines.runtime.names import RUN_ID
from triad_ml.pipelines.tables import ScoresFormat

Schema = tuple[Mapping[str, str], ...]
"""Columns in their order, as `tables.rows.described` returns them."""


_DIGEST = "digest"
_M = TypeVar("_M")

_PART = re.compile(r"(scores|_?rejected)/part-(\d{5,})\.(parquet|jsonl)")


_Content = bytes  # In `PartFile`, the field `bytes` hides the built-in type.


@dataclasses.dataclass(frozen=True)
class PartFile:
    """Entry of one file of a run in a manifest.

    Attributes:
        path: Path relative to the run folder.
        rows: Number of rows.
        bytes: Size in bytes.
        sha256: SHA-256 of the content, in hexadecimal.
    """

    path: str
    rows: int
    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: str, rows: int, content: _Content) -> Self:
        return cls(path, rows, len(content), hashlib.sha256(content).hexdigest())

    @property
    def unit(self) -> int:
        """Index of the unit of work whose rows this part of a sealed run holds."""
        return int(self.path.rpartition("-")[2].partition(".")[0])

    def holds(self, content: _Content | None) -> bool:
        """Returns True if the content has the file's size and SHA-256."""
        return (
            content is not None
            and len(content) == self.bytes
            and hashlib.sha256(content).hexdigest() == self.sha256
        )


@dataclasses.dataclass(frozen=True)
class UnitManifest:
    """Manifest of a complete unit of work: its counts, files and columns.

    Attributes:
        unit: Index of the unit.
        read: Number of records read: `scored` and `rejected` together.
        scored: Number of records scored.
        rejected: Number of rejected records.
        reasons: Number of rejected records by reason.
        scores_file: Parquet file of the scores, with positions.
        rejected_file: Parquet file of the rejected records.
        schema: Columns of the scores, without the position.
    """

    unit: int
    read: int
    scored: int
    rejected: int
    reasons: Mapping[str, int]
    scores_file: PartFile
    rejected_file: PartFile
    schema: Schema

    def to_json(self) -> bytes:
        return _encoded(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, content: bytes) -> Self | None:
        """Parses a unit manifest; None if the content is none: then the unit is not complete."""
        return _parsed(content, cls)


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Manifest of a sealed run: its counts, files, columns and provenance.

    Attributes:
        run_id: Id of the run; part of its folder's name.
        date: ISO date that the scores are for.
        created: Time of sealing: UTC, ISO 8601.
        format: Format of the files: `parquet` or `jsonl`.
        units: Number of units of work, each with one part of scores and one of rejected records.
        counts: Numbers of `read`, `scored` and `rejected` records.
        reasons: Number of rejected records by reason.
        issues: Number of media of scored records that were not used, by modality and flaw.
        files: Parts of scores in order, then parts of rejected records.
        schema: Columns of the scores.
        classes: Names of the classes by task.
        digests: Digests by name: `model`, `transform`, `spec` and `code`.
        code_version: Version of this software.
        about: Further entries by the caller, as JSON values.
        media: For each modality of the model, the number of records with a medium (`had`) and of
            those that lost it, by flaw (`flaws`). Counts scored and unreadable records. Empty in
            manifests of earlier versions.
        statistics: Statistics of the scores and of the media; its `rows` are the scored records.
            None in manifests of earlier versions.
    """

    run_id: str
    date: str
    created: str
    format: ScoresFormat
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
    statistics: PartFile | None = None

    @property
    def scores(self) -> tuple[PartFile, ...]:
        return tuple(file for file in self.files if file.path.startswith("scores/"))

    @property
    def rejected(self) -> tuple[PartFile, ...]:
        return tuple(file for file in self.files if not file.path.startswith("scores/"))

    def to_json(self) -> bytes:
        fields = dataclasses.asdict(self)
        if self.statistics is None:
            del fields["statistics"]  # A manifest of an earlier version keeps its digest.
        return _encoded(fields)

    @classmethod
    def from_json(cls, content: bytes) -> Self | None:
        """Parses a manifest; None if the content is none, or is not as it was written."""
        manifest = _parsed(content, cls)
        return manifest if manifest is not None and manifest._agrees() else None

    def _agrees(self) -> bool:
        """Returns True if no two entries of the manifest contradict each other."""
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


def _in_order(parts: Sequence[PartFile], units: int) -> bool:
    return len(parts) == units and [part.unit for part in parts] == list(range(units))


def _is_time(text: str) -> bool:
    try:
        return datetime.datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _encoded(fields: Mapping[str, Any]) -> bytes:
    """Encodes the fields as JSON and adds, as the last field, `digest`: the SHA-256 of all others.

    The digest is taken of the fields as JSON with sorted keys, in ASCII, without spaces.
    """
    text = json.dumps({**fields, _DIGEST: _digest(fields)}, indent=1, ensure_ascii=False)
    return f"{text}\n".encode()


def _parsed(content: bytes, kind: type[_M]) -> _M | None:
    """Parses what `_encoded` wrote of a dataclass; None if it is damaged or something else.

    Fields that a later version added are ignored. Triad before 0.2 wrote no digest; without one,
    an unknown field is refused.
    """
    try:
        fields = json.loads(content)
        digest = fields.pop(_DIGEST, None)
        if digest not in (None, _digest(fields)):
            return None
        extra: Literal["forbid", "ignore"] = "forbid" if digest is None else "ignore"
        hashable: Any = kind  # A class is hashable, which mypy does not see.
        manifest: _M = _adapter(hashable).validate_json(content, strict=True, extra=extra)
        return manifest
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


@functools.cache
def _adapter(kind: Hashable) -> "pydantic.TypeAdapter[Any]":
    dataclass: Any = kind
    return pydantic.TypeAdapter(dataclass)


def _digest(fields: Mapping[str, Any]) -> str:
    text = json.dumps(fields, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
