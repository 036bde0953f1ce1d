"""Committed units of work: each is written once, whole, and is found again after a crash."""

import collections
import json
from collections.abc import Sequence

import pyarrow as pa

from triad_ml.pipelines.publishing import parts, run_index
from triad_ml.pipelines.publishing.manifest import PartFile, UnitManifest
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.tables import formats
from triad_ml.pipelines.tables import rows as tables_rows
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.errors import GateError
from triad_ml.transforms.records.values import Reason, Rejected, Scored

DUPLICATE = "an earlier record of this run has the id"
"""Detail of a record that is rejected as a duplicate."""


def commit_unit(
    run: RunFolder,
    unit: int,
    scored: Sequence[Scored],
    rejected: Sequence[Rejected],
    read: int,
    settings: ScoreSchema,
) -> UnitManifest:
    """Writes the scores and rejected records of one unit, and last its manifest.

    The manifest makes the unit complete. If several scored records have the same id, the first in
    the input stays and the others are rejected. A unit that is complete already is left unchanged,
    so a retry changes nothing.

    Args:
        run: Folder of the run.
        unit: Index of the unit.
        scored: Scored records, in any order.
        rejected: Rejected records, in any order.
        read: Number of records in the unit's input.
        settings: Score schema of the run.

    Returns:
        Manifest of the unit; if the unit was complete already, its existing manifest.

    Raises:
        GateError: A record is neither scored nor rejected, or is both.
        StorageError: A file cannot be written.
    """
    if read != len(scored) + len(rejected):
        raise GateError(
            f"unit {unit}: {read} records were read, but {len(scored)} scored and {len(rejected)} "
            "rejected; nothing is published: run again, and report it if it comes again"
        )
    complete = read_unit(run, unit)
    if complete is not None:
        return complete[0]
    firsts, repeated = _first_of_each_id(scored)
    refused = sorted([*rejected, *repeated], key=lambda r: (r.id, r.position.offset, r.stage))
    provenance = settings.provenance
    scores = settings.score_table(firsts)
    positions = pa.array([str(row.position) for row in firsts], pa.string())
    measures = [json.dumps(row.measures) if row.measures else None for row in firsts]
    whole = scores.append_column(tables_rows.POSITION, positions).append_column(
        tables_rows.MEASURES, pa.array(measures, pa.string())
    )
    scores_content = formats.encode(whole, "parquet")
    refused_content = formats.encode(tables_rows.rejected_table(refused, provenance), "parquet")
    atomic.put(run.unit_scores(unit), scores_content)
    atomic.put(run.unit_rejected(unit), refused_content)
    reasons = collections.Counter(str(row.reason) for row in refused)
    manifest = UnitManifest(
        unit=unit,
        read=read,
        scored=len(firsts),
        rejected=len(refused),
        reasons=dict(sorted(reasons.items())),
        scores_file=_part(run, run.unit_scores(unit), len(firsts), scores_content),
        rejected_file=_part(run, run.unit_rejected(unit), len(refused), refused_content),
        schema=tables_rows.described(scores.schema),
    )
    atomic.put(run.unit_manifest(unit), manifest.to_json())
    return manifest


def read_unit(run: RunFolder, unit: int) -> tuple[UnitManifest, bytes, bytes] | None:
    """Reads the manifest of a unit and the content of its scores and rejected records.

    Returns None if the unit is not complete: a file is missing, or is not what was written.
    """
    content = atomic.read_if_there(run.unit_manifest(unit))
    manifest = None if content is None else UnitManifest.from_json(content)
    if manifest is None or manifest.unit != unit:
        return None
    scores = atomic.read_if_there(run.unit_scores(unit))
    rejected = atomic.read_if_there(run.unit_rejected(unit))
    if scores is None or not manifest.scores_file.holds(scores):
        return None
    if rejected is None or not manifest.rejected_file.holds(rejected):
        return None
    return manifest, scores, rejected


def unit_tables(run: RunFolder, unit: int) -> tuple[int, pa.Table, pa.Table]:
    """Reads a unit: its number of records read, its scores with positions, its rejected records.

    Raises:
        GateError: The unit is not complete.
    """
    complete = read_unit(run, unit)
    if complete is None:
        raise GateError(
            f"{run.unit_manifest(unit)}: the unit is not complete; nothing is published: run again"
        )
    manifest, scores, rejected = complete
    return (
        manifest.read,
        formats.decode(scores, "parquet"),
        formats.decode(rejected, "parquet"),
    )


def complete_units(run: RunFolder) -> set[int]:
    """Returns the indices of the units that need not be scored again.

    In a sealed run these also are the units whose parts are whole; the others are scored again, and
    sealing mends their parts. JSON Lines hold no types, so if one part is damaged, all units are
    scored again.
    """
    done = {unit for unit in listed_units(run) if read_unit(run, unit) is not None}
    sealed = run_index.whole_manifest(run)
    if sealed is None:
        return done
    again = {file.unit for file in parts.broken(run, sealed)}
    if again and sealed.format == "jsonl":
        return done
    return done | (set(range(sealed.units)) - again)


def listed_units(run: RunFolder) -> list[int]:
    """Returns the indices of the units that have a manifest, complete or not, in order."""
    names = [path.rpartition("/")[2] for path in atomic.list_files(run.units)]
    stems = [name.removesuffix(".json") for name in names if name.endswith(".json")]
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def _first_of_each_id(scored: Sequence[Scored]) -> tuple[list[Scored], list[Rejected]]:
    firsts: dict[str, Scored] = {}
    repeated = []
    for row in sorted(scored, key=lambda row: (row.id, row.position.offset)):
        if row.id in firsts:
            refused = (row.id, row.position, "publish", Reason.DUPLICATE_ID, DUPLICATE)
            repeated.append(Rejected(*refused, model_digest=row.model_digest))
        else:
            firsts[row.id] = row
    return list(firsts.values()), repeated


def _part(run: RunFolder, path: str, rows: int, content: bytes) -> PartFile:
    return PartFile.of(path.removeprefix(f"{run.folder}/"), rows, content)
