"""Sealing: from a run's complete units to its final files, its gates and its manifest."""

import collections
import datetime
import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import commits, media_counts, passthrough, sinks, storage
from pipelines.gates import Gates
from pipelines.runs import Manifest, PartFile, RunFolder, RunSettings
from transforms.errors import GateError, StorageError
from transforms.records import Position, Reason, Rejected

_log = logging.getLogger(__name__)


def seal(
    run: RunFolder,
    units: int,
    gates: Gates,
    settings: RunSettings,
    about: Mapping[str, Any],
) -> Manifest:
    """Makes the final files of a run whose units are complete, checks them, writes the manifest.

    An id that is scored in several units stays in the first; the later rows are rejected. The
    passthrough columns become alike in all parts. A run that is sealed already is checked only.

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
    with storage.locked(run.date_folder):
        sealed = _sealed(run, gates)
        if sealed is not None:
            return sealed
        try:
            return _seal(run, units, gates, settings, about)
        except (GateError, StorageError):
            sealed = _sealed(run, gates)  # by a process that was faster and cleared the units
            if sealed is None:
                raise
            return sealed


def read_manifest(run: RunFolder) -> Manifest | None:
    """The manifest of a sealed run, or None.

    Raises:
        StorageError: It is damaged or belongs to another run.
    """
    content = storage.read_if_there(run.manifest)
    if content is None:
        return None
    manifest = Manifest.from_json(content)
    if manifest is None or manifest.run_id != run.run_id:
        raise StorageError(
            f"{run.manifest}: not the manifest of this run; restore it, or move "
            f"{run.folder} aside and score the date again"
        )
    return manifest


def _sealed(run: RunFolder, gates: Gates) -> Manifest | None:
    manifest = read_manifest(run)
    if manifest is not None:
        _check_files(run, manifest)
        media = media_counts.from_json(manifest.media)
        gates.check(run, manifest.counts, manifest.reasons, media)
    return manifest


def _seal(
    run: RunFolder, units: int, gates: Gates, settings: RunSettings, about: Mapping[str, Any]
) -> Manifest:
    _check_units(run, units)
    read = 0
    digests = []
    schemas = []
    for unit in range(units):
        count, scores, _ = _unit_tables(run, unit)
        read += count
        digests.append(_digests(scores.column("id").to_pylist()))
        schemas.append(scores.schema)
    later = _later_rows(digests)
    columns = passthrough.unified(schemas)
    for line in passthrough.notices(columns):
        _log.warning("%s: %s", run.folder, line)

    parts: dict[str, list[PartFile]] = {"scores": [], "rejected": []}
    reasons: collections.Counter[str] = collections.Counter()
    issues: collections.Counter[str] = collections.Counter()
    used: collections.Counter[str] = collections.Counter()
    unreadable: collections.Counter[str] = collections.Counter()
    for unit in range(units):
        _, scores, rejected = _unit_tables(run, unit)
        rows = later.get(unit, np.zeros(0, np.int64))
        rejected = _with_duplicates(rejected, scores.take(pa.array(rows)), settings)
        scores = _without(scores, rows, columns)
        for kind, table in (("scores", scores), ("rejected", rejected)):
            path = f"{kind}/part-{unit:05d}.{settings.format}"
            storage.put(run.path(path), sinks.encode(table, settings.format))
            # What counts is what is there, not what was meant to be written.
            content = storage.read_bytes(run.path(path))
            found = sinks.decode(content, settings.format)
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
        storage.delete_tree(run.units)  # they hold no medium that is mended before the next attempt
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
        schema=sinks.described(_schema(settings, columns)),
        classes={task: tuple(names) for task, names in settings.classes.items()},
        digests=settings.provenance.digests,
        code_version=settings.provenance.version,
        about=dict(about),
        media=media_counts.to_json(media),
    )
    if not storage.write_new(run.manifest, manifest.to_json()):
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
    listed = commits.listed_units(run)
    missing = sorted(set(range(units)) - set(listed))
    beyond = [unit for unit in listed if unit >= units]
    if missing or beyond:
        some = ", ".join(map(str, (missing or beyond)[:5]))
        said = f"not all of {units} units are complete (without {some})"
        if beyond and not missing:
            said = f"there are more than {units} units ({some})"
        raise GateError(f"{run.folder}: {said}; nothing is published: run again")


def _unit_tables(run: RunFolder, unit: int) -> tuple[int, pa.Table, pa.Table]:
    complete = commits.read_unit(run, unit)
    if complete is None:
        raise GateError(
            f"{run.unit_manifest(unit)}: the unit is not complete; nothing is published: run again"
        )
    manifest, scores, rejected = complete
    return manifest.read, sinks.decode(scores, "parquet"), sinks.decode(rejected, "parquet")


def _digests(ids: Sequence[str]) -> npt.NDArray[np.uint64]:
    """16 bytes for each id, `[ids, 2]`: all ids of a run fit into memory."""
    joined = b"".join(hashlib.blake2b(one.encode(), digest_size=16).digest() for one in ids)
    return np.frombuffer(joined, np.uint64).reshape(-1, 2)


def _later_rows(digests: Sequence[npt.NDArray[np.uint64]]) -> dict[int, npt.NDArray[np.int64]]:
    """By unit, the rows whose id an earlier unit has; `digests` by unit, each without repeats."""
    if not digests:
        return {}
    sizes = [len(part) for part in digests]
    unit = np.repeat(np.arange(len(digests)), sizes)
    row = np.concatenate([np.arange(size) for size in sizes])
    ids = np.concatenate(digests)
    order = np.lexsort((unit, ids[:, 1], ids[:, 0]))  # equal ids side by side, first unit first
    same = (ids[order[1:]] == ids[order[:-1]]).all(axis=1)
    later = order[1:][same]
    return {int(u): np.sort(row[later[unit[later] == u]]) for u in np.unique(unit[later])}


def _without(
    scores: pa.Table, rows: npt.NDArray[np.int64], columns: Sequence[pa.Field]
) -> pa.Table:
    keep = np.ones(len(scores), bool)
    keep[rows] = False
    kept = scores.filter(pa.array(keep)).drop_columns([sinks.POSITION])
    return passthrough.conformed(kept, columns)


def _with_duplicates(rejected: pa.Table, moved: pa.Table, settings: RunSettings) -> pa.Table:
    if not len(moved):
        return rejected
    duplicates = [
        Rejected(
            row["id"],
            Position(*_place(row[sinks.POSITION])),
            "publish",
            Reason.DUPLICATE_ID,
            commits.DUPLICATE,
        )
        for row in moved.select(["id", sinks.POSITION]).to_pylist()
    ]
    both = pa.concat_tables([rejected, sinks.rejected_table(duplicates, settings.provenance)])
    rows = both.select(["id", "source", "stage"]).to_pylist()
    order = sorted(
        range(len(rows)),
        key=lambda i: (rows[i]["id"], _place(rows[i]["source"])[1], rows[i]["stage"]),
    )
    return both.take(pa.array(order))


def _place(source: str) -> tuple[str, int]:
    uri, _, offset = source.rpartition("#")
    return uri, int(offset)


def _schema(settings: RunSettings, columns: Sequence[pa.Field]) -> pa.Schema:
    empty = settings.score_table(())
    return passthrough.conformed(empty, columns).schema


def _remove_others(run: RunFolder, files: Sequence[PartFile]) -> None:
    """Nobody reads by listing, but whoever does shall find no part of an older attempt."""
    known = {run.path(file.path) for file in files}
    for folder in ("scores", "rejected"):
        for path in storage.list_files(run.path(folder)):
            if path not in known:
                storage.delete(path)


def _check_files(run: RunFolder, manifest: Manifest) -> None:
    for file in manifest.files:
        if not file.holds(storage.read_if_there(run.path(file.path))):
            raise StorageError(
                f"{run.path(file.path)}: missing, or not what the run wrote; restore it, or "
                f"move {run.folder} aside and score the date again"
            )
