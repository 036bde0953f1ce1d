"""Sealing: from a run's complete units to its final files, its gates and its manifest."""

import collections
import datetime
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from triad_ml.pipelines.publishing import commit, run_index
from triad_ml.pipelines.publishing.manifest import Manifest, PartFile
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.publishing.sealing import duplicates, mending
from triad_ml.pipelines.publishing.sealing.gates import Gates
from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.tables import formats, media_counts, passthrough
from triad_ml.pipelines.tables import rows as tables_rows
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.errors import GateError, StorageError
from triad_ml.transforms.records.values import Reason

_log = logging.getLogger(__name__)


def seal(
    run: RunFolder,
    units: int,
    gates: Gates,
    settings: ScoreSchema,
    about: Mapping[str, Any],
) -> Manifest:
    """Makes the final files of a run whose units are complete, checks them, writes the manifest.

    An id that is scored in several units stays in the first; the later rows are rejected. The
    passthrough columns become alike in all parts. A run that is sealed already is checked, and what
    is damaged in it is made anew, see `mending`.

    Final files are made from the units' files, which nobody changes: a unit that is complete is
    never written again. So whatever moment a process is killed at, each row still stands in its
    unit, and the next attempt makes the same final files anew. The manifest is written last; where
    it is, everything is. Whoever seals holds the date's lock: a second process with the same run
    finds the manifest. On Cloud Storage, without locks, it writes the same bytes.

    Args:
        run: Which one.
        units: Number of units that the inputs were cut into.
        gates: What it must hold.
        settings: Of the run, the same as for its units.
        about: More to say in the manifest; JSON values.

    Raises:
        GateError: A gate refuses; no manifest is written.
        StorageError: A file cannot be read or written, or is not what was written.
    """
    with atomic.locked(run.date_folder):
        sealed = _sealed(run, gates, settings)
        if sealed is not None:
            return sealed
        try:
            return _seal(run, units, gates, settings, about)
        except (GateError, StorageError):
            sealed = _sealed(run, gates, settings)  # by a faster process that cleared the units
            if sealed is None:
                raise
            return sealed


def _sealed(run: RunFolder, gates: Gates, settings: ScoreSchema) -> Manifest | None:
    manifest = run_index.whole_manifest(run)
    if manifest is not None:
        mending.mend(run, manifest, settings)
        media = media_counts.from_json(manifest.media)
        gates.check(run, manifest.counts, manifest.reasons, media)
    return manifest


def _seal(
    run: RunFolder, units: int, gates: Gates, settings: ScoreSchema, about: Mapping[str, Any]
) -> Manifest:
    damaged = atomic.read_if_there(run.manifest)  # a whole one would have been found
    _check_units(run, units)
    read = 0
    digests = []
    schemas = []
    for unit in range(units):
        count, scores, _ = commit.unit_tables(run, unit)
        read += count
        digests.append(duplicates.digests(scores.column("id").to_pylist()))
        schemas.append(scores.schema)
    later = duplicates.later_rows(digests)
    columns = passthrough.unified(schemas)
    for line in passthrough.notices(columns):
        _log.warning("%s: %s", run.folder, line)

    parts: dict[str, list[PartFile]] = {"scores": [], "rejected": []}
    reasons: collections.Counter[str] = collections.Counter()
    issues: collections.Counter[str] = collections.Counter()
    used: collections.Counter[str] = collections.Counter()
    unreadable: collections.Counter[str] = collections.Counter()
    for unit in range(units):
        _, scores, rejected = commit.unit_tables(run, unit)
        rows = later.get(unit, np.zeros(0, np.int64))
        scores, rejected = duplicates.parted(scores, rejected, rows, columns, settings)
        for kind, table in (("scores", scores), ("rejected", rejected)):
            path = run.part(kind, unit, settings.format)
            atomic.put(run.path(path), formats.encode(table, settings.format))
            # What counts is what is there, not what was meant to be written.
            content = atomic.read_bytes(run.path(path))
            found = formats.decode(content, settings.format)
            parts[kind].append(PartFile.of(path, len(found), content))
            if kind == "rejected" and len(found):
                reasons.update(found.column("reason").to_pylist())
                unreadable.update(_flaws(found))
            elif len(found):
                issues.update(_values(found, "issues"))
                used.update(_values(found, "modalities_used"))
    files = (*parts["scores"], *parts["rejected"])
    _remove_others(run, files)

    counts = {
        "read": read,
        "scored": sum(file.rows for file in parts["scores"]),
        "rejected": sum(file.rows for file in parts["rejected"]),
    }
    media = media_counts.counted(settings.modalities, used, issues + unreadable)
    if gates.issues.over(media):
        atomic.delete_tree(run.units)  # they hold no medium that is mended before the next attempt
    gates.check(run, counts, reasons, media)
    manifest = Manifest(
        run_id=run.run_id,
        date=run.date,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        format=settings.format,
        units=units,
        counts=counts,
        reasons=dict(sorted(reasons.items())),
        issues=dict(sorted(issues.items())),
        files=files,
        schema=tables_rows.described(_schema(settings, columns)),
        classes=settings.classes,
        digests=settings.provenance.digests,
        code_version=settings.provenance.version,
        about=dict(about),
        media=media_counts.to_json(media),
    )
    if damaged is not None and atomic.read_if_there(run.manifest) == damaged:
        atomic.delete(run.manifest)  # nobody can read it
    if not atomic.write_new(run.manifest, manifest.to_json()):
        raise StorageError(f"{run.manifest}: another process sealed the run; run again")
    return manifest


def _values(table: pa.Table, column: str) -> dict[str, int]:
    """How often each value is in a column of lists."""
    counted = pc.value_counts(pc.list_flatten(table.column(column)))
    return {one["values"]: one["counts"] for one in counted.to_pylist()}


def _flaws(rejected: pa.Table) -> collections.Counter[str]:
    """How often each flaw cost a rejected record one of its media."""
    unreadable = pc.equal(rejected.column("reason"), str(Reason.UNREADABLE))
    return media_counts.flaws_of(rejected.filter(unreadable).column("detail").to_pylist())


def _check_units(run: RunFolder, units: int) -> None:
    listed = commit.listed_units(run)
    missing = sorted(set(range(units)) - set(listed))
    beyond = [unit for unit in listed if unit >= units]
    if missing or beyond:
        some = ", ".join(map(str, (missing or beyond)[:5]))
        said = f"not all of {units} units are complete (without {some})"
        if beyond and not missing:
            said = f"there are more than {units} units ({some})"
        raise GateError(f"{run.folder}: {said}; nothing is published: run again")


def _schema(settings: ScoreSchema, columns: Sequence[pa.Field]) -> pa.Schema:
    empty = settings.score_table(())
    return passthrough.conformed(empty, columns).schema


def _remove_others(run: RunFolder, files: Sequence[PartFile]) -> None:
    """Nobody reads by listing, but whoever does shall find no part of an older attempt."""
    known = {run.path(file.path) for file in files}
    for folder in (run.path("scores"), run.rejected):
        for path in atomic.list_files(folder):
            if path not in known:
                atomic.delete(path)
