"""Sealing of a run: from its complete units to its final files, checked gates and manifest."""

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
from triad_ml.pipelines.publishing.sealing.run_statistics import RunStatistics
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

    If several units have the same id, its row in the first one stays and the later rows are
    rejected. All parts get the same passthrough columns. A run that is sealed already is checked,
    and its damaged parts are made again, see `mending`.

    Final files are made from the units' files, which never change: a complete unit is not written
    again. So if the process is killed at any moment, each row is still in its unit, and the next
    attempt makes the same final files. The manifest is written last: if it exists, so do all files.
    The sealing process holds the date's lock, so that a second process with the same run finds the
    manifest. Cloud Storage has no locks; there, a second process writes the same bytes.

    Args:
        run: Folder of the run.
        units: Number of units of work that the inputs were cut into.
        gates: Limits that the run must hold.
        settings: Score schema of the run, the same as for its units.
        about: Further entries of the manifest, as JSON values.

    Returns:
        Manifest of the run.

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
            # A faster process may have sealed the run, and removed its units since.
            sealed = _sealed(run, gates, settings)
            if sealed is None:
                raise
            return sealed


def _sealed(run: RunFolder, gates: Gates, settings: ScoreSchema) -> Manifest | None:
    manifest = run_index.whole_manifest(run)
    if manifest is not None:
        mending.mend(run, manifest, settings)
        media = media_counts.from_json(manifest.media)
        gates.check(run, manifest.counts, manifest.reasons, media, manifest.statistics)
    return manifest


def _seal(
    run: RunFolder, units: int, gates: Gates, settings: ScoreSchema, about: Mapping[str, Any]
) -> Manifest:
    damaged = atomic.read_if_there(run.manifest)  # A whole manifest would have ended `seal`.
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
    statistics = RunStatistics(settings)
    for unit in range(units):
        _, whole, rejected = commit.unit_tables(run, unit)
        rows = later.get(unit, np.zeros(0, np.int64))
        scores, rejected = duplicates.parted(whole, rejected, rows, columns, settings)
        statistics.add(whole, scores)
        for kind, table in (("scores", scores), ("rejected", rejected)):
            path = run.part(kind, unit, settings.format)
            atomic.put(run.path(path), formats.encode(table, settings.format))
            # The stored file is counted and hashed, not the table that was to be written.
            content = atomic.read_bytes(run.path(path))
            stored = formats.decode(content, settings.format)
            parts[kind].append(PartFile.of(path, len(stored), content))
            if kind == "rejected" and len(stored):
                reasons.update(stored.column("reason").to_pylist())
                unreadable.update(_flaws(stored))
            elif len(stored):
                issues.update(_values(stored, "issues"))
                used.update(_values(stored, "modalities_used"))
    files = (*parts["scores"], *parts["rejected"])
    _remove_others(run, files)

    counts = {
        "read": read,
        "scored": sum(file.rows for file in parts["scores"]),
        "rejected": sum(file.rows for file in parts["rejected"]),
    }
    media = media_counts.counted(settings.modalities, used, issues + unreadable)
    if gates.issues.over(media):
        # Media that are mended before the next attempt have to be read again.
        atomic.delete_tree(run.units)
    described = statistics.write(run, used, issues)
    gates.check(run, counts, reasons, media, described)
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
        statistics=described,
    )
    if damaged is not None and atomic.read_if_there(run.manifest) == damaged:
        atomic.delete(run.manifest)  # No reader accepts it.
    if not atomic.write_new(run.manifest, manifest.to_json()):
        raise StorageError(f"{run.manifest}: another process sealed the run; run again")
    return manifest


def _values(table: pa.Table, column: str) -> dict[str, int]:
    """Counts each value in a column of lists."""
    counted = pc.value_counts(pc.list_flatten(table.column(column)))
    return {entry["values"]: entry["counts"] for entry in counted.to_pylist()}


def _flaws(rejected: pa.Table) -> collections.Counter[str]:
    """Counts the media that unreadable records lost, by modality and flaw."""
    unreadable = pc.equal(rejected.column("reason"), str(Reason.UNREADABLE))
    return media_counts.flaws_of(rejected.filter(unreadable).column("detail").to_pylist())


def _check_units(run: RunFolder, units: int) -> None:
    listed = commit.listed_units(run)
    missing = sorted(set(range(units)) - set(listed))
    beyond = [unit for unit in listed if unit >= units]
    if missing or beyond:
        some = ", ".join(map(str, (missing or beyond)[:5]))
        problem = f"not all of {units} units are complete (without {some})"
        if beyond and not missing:
            problem = f"there are more than {units} units ({some})"
        raise GateError(f"{run.folder}: {problem}; nothing is published: run again")


def _schema(settings: ScoreSchema, columns: Sequence[pa.Field]) -> pa.Schema:
    empty = settings.score_table(())
    return passthrough.conformed(empty, columns).schema


def _remove_others(run: RunFolder, files: Sequence[PartFile]) -> None:
    """Removes parts of older attempts, for readers that list a folder instead of the manifest."""
    known = {run.path(file.path) for file in files}
    for folder in (run.path("scores"), run.rejected):
        for path in atomic.list_files(folder):
            if path not in known:
                atomic.delete(path)
