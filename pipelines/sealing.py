"""Sealing: from a run's complete units to its final files, its gates and its manifest."""

import collections
import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines import commits, duplicates, mending, passthrough, run_index, sinks, storage
from pipelines.runs import Manifest, PartFile, RunFolder, RunSettings
from transforms.errors import GateError, StorageError


@dataclasses.dataclass(frozen=True)
class Gates:
    """What a run must hold to be published.

    Attributes:
        rejected_limit: Largest share of rejected records, duplicates among them.
    """

    rejected_limit: float

    def __post_init__(self) -> None:
        if not 0 <= self.rejected_limit <= 1:
            raise ValueError(f"rejected_limit must be between 0 and 1, got {self.rejected_limit}")

    def check(self, run: RunFolder, counts: Mapping[str, int], reasons: Mapping[str, int]) -> None:
        """Refuses a run that lost records, scored none, or rejected too many.

        Raises:
            GateError: Naming the numbers, the commonest reason and what to do.
        """
        read, scored, rejected = counts["read"], counts["scored"], counts["rejected"]
        if read != scored + rejected:
            raise GateError(
                f"{run.folder}: {read} records were read, but {scored} scored and {rejected} "
                "rejected; nothing is published: run again, and report it if it comes again"
            )
        if not read:
            return
        most = max(reasons, key=lambda reason: (reasons[reason], reason), default="")
        where = f"see {run.rejected}"
        if not scored:
            raise GateError(
                f"none of {read} records is scored (most often: {most}, {reasons[most]}); "
                f"nothing is published: {where}"
            )
        if rejected / read > self.rejected_limit:
            raise GateError(
                f"{rejected} of {read} records are rejected ({rejected / read:.2%}; most often: "
                f"{most}, {reasons[most]}), over the limit of {self.rejected_limit:.2%}; nothing "
                f"is published: {where}, or raise --rejected-limit"
            )


def seal(
    run: RunFolder,
    units: int,
    gates: Gates,
    settings: RunSettings,
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
    with storage.locked(run.date_folder):
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


def _sealed(run: RunFolder, gates: Gates, settings: RunSettings) -> Manifest | None:
    manifest = run_index.whole_manifest(run)
    if manifest is not None:
        mending.mend(run, manifest, settings)
        gates.check(run, manifest.counts, manifest.reasons)
    return manifest


def _seal(
    run: RunFolder, units: int, gates: Gates, settings: RunSettings, about: Mapping[str, Any]
) -> Manifest:
    damaged = storage.read_if_there(run.manifest)  # a whole one would have been found
    _check_units(run, units)
    read = 0
    digests = []
    schemas = []
    for unit in range(units):
        count, scores, _ = commits.unit_tables(run, unit)
        read += count
        digests.append(duplicates.digests(scores.column("id").to_pylist()))
        schemas.append(scores.schema)
    later = duplicates.later_rows(digests)
    columns = passthrough.unified(schemas)

    parts: dict[str, list[PartFile]] = {"scores": [], "rejected": []}
    reasons: collections.Counter[str] = collections.Counter()
    issues: collections.Counter[str] = collections.Counter()
    for unit in range(units):
        _, scores, rejected = commits.unit_tables(run, unit)
        rows = later.get(unit, np.zeros(0, np.int64))
        scores, rejected = duplicates.parted(scores, rejected, rows, columns, settings)
        for kind, table in (("scores", scores), ("rejected", rejected)):
            path = run.part(kind, unit, settings.format)
            storage.put(run.path(path), sinks.encode(table, settings.format))
            # What counts is what is there, not what was meant to be written.
            content = storage.read_bytes(run.path(path))
            found = sinks.decode(content, settings.format)
            parts[kind].append(PartFile.of(path, len(found), content))
            if kind == "rejected" and len(found):
                reasons.update(found.column("reason").to_pylist())
            elif len(found):
                issues.update(i for row in found.column("issues").to_pylist() for i in row)
    files = (*parts["scores"], *parts["rejected"])
    _remove_others(run, files)

    counts = {
        "read": read,
        "scored": sum(file.rows for file in parts["scores"]),
        "rejected": sum(file.rows for file in parts["rejected"]),
    }
    gates.check(run, counts, reasons)
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
    )
    if damaged is not None and storage.read_if_there(run.manifest) == damaged:
        storage.delete(run.manifest)  # nobody can read it
    if not storage.write_new(run.manifest, manifest.to_json()):
        raise StorageError(f"{run.manifest}: another process sealed the run; run again")
    return manifest


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


def _schema(settings: RunSettings, columns: Sequence[pa.Field]) -> pa.Schema:
    empty = settings.score_table(())
    return passthrough.conformed(empty, columns).schema


def _remove_others(run: RunFolder, files: Sequence[PartFile]) -> None:
    """Nobody reads by listing, but whoever does shall find no part of an older attempt."""
    known = {run.path(file.path) for file in files}
    for folder in (run.path("scores"), run.rejected):
        for path in storage.list_files(folder):
            if path not in known:
                storage.delete(path)
