"""Repair of a sealed run: makes its missing or damaged parts again, byte for byte."""

import logging

import numpy as np
import pyarrow as pa

from triad_ml.pipelines.publishing import commit, parts
from triad_ml.pipelines.publishing.manifest import Manifest, PartFile
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.publishing.sealing import duplicates
from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.tables import formats, passthrough
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.errors import GateError

_log = logging.getLogger(__name__)


def mend(run: RunFolder, manifest: Manifest, settings: ScoreSchema) -> tuple[PartFile, ...]:
    """Makes the damaged parts of a sealed run again, from units that were scored again.

    Whole parts and the manifest are not written, so that readers are not disturbed and the run's
    digests stay.

    Args:
        run: Folder of the sealed run; the caller holds the lock of its date.
        manifest: Manifest of the run.
        settings: Score schema of the run.

    Returns:
        Parts that were made again; empty if all are whole.

    Raises:
        GateError: A unit was not scored again, or its bytes differ from before.
    """
    broken = parts.broken(run, manifest)
    if not broken:
        return ()
    again = sorted({file.unit for file in broken})
    if manifest.format == "jsonl":
        again = list(range(manifest.units))  # JSON Lines hold no types of columns.
    tables = {unit: commit.unit_tables(run, unit) for unit in again}
    made = _made(run, manifest, settings, tables)
    for file in broken:
        if not file.holds(made.get(file.path)):
            raise GateError(
                f"{run.path(file.path)}: was damaged, and its records give other scores now (other "
                "media or another machine); nothing is changed: triad rollback goes back to "
                "another run, and records files with a new time (touch) make a run of their own"
            )
    for file in broken:
        atomic.put(run.path(file.path), made[file.path])
        _log.warning("%s: was damaged, and is again what the run wrote", run.path(file.path))
    return broken


def _made(
    run: RunFolder,
    manifest: Manifest,
    settings: ScoreSchema,
    tables: dict[int, tuple[int, pa.Table, pa.Table]],
) -> dict[str, bytes]:
    """Encodes the parts of the units in `tables`: their content by path."""
    whole = {file.unit: file for file in manifest.scores if file.unit not in tables}
    ids, schemas = [], []
    for unit in range(manifest.units):
        scores = tables[unit][1] if unit in tables else parts.table(run, whole[unit])
        ids.append(duplicates.digests(scores.column("id").to_pylist()))
        schemas.append(scores.schema)
    later = duplicates.later_rows(ids)
    columns = passthrough.unified(schemas)
    made = {}
    for unit, (_, scores, rejected) in tables.items():
        rows = later.get(unit, np.zeros(0, np.int64))
        both = duplicates.parted(scores, rejected, rows, columns, settings)
        for kind, table in zip(("scores", "rejected"), both, strict=True):
            path = run.part(kind, unit, manifest.format)
            made[path] = formats.encode(table, manifest.format)
    return made
