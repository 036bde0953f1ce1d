"""Duplicate ids across the units of a run: the first row stays, later ones are rejected."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from triad_ml.pipelines.publishing import commit
from triad_ml.pipelines.tables import passthrough
from triad_ml.pipelines.tables import rows as tables_rows
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.records.values import Position, Reason, Rejected


def digests(ids: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Returns a 16-byte digest of each id, uint64 `[ids, 2]`: all ids of a run fit into memory."""
    joined = b"".join(hashlib.blake2b(id.encode(), digest_size=16).digest() for id in ids)
    return np.frombuffer(joined, np.uint64).reshape(-1, 2)


def later_rows(units: Sequence[npt.NDArray[np.uint64]]) -> dict[int, npt.NDArray[np.int64]]:
    """Finds the rows whose id an earlier unit has.

    Args:
        units: Digests of the ids of each unit, uint64 `[ids, 2]`.

    Returns:
        Indices of the rows by unit, ascending; units without such rows are left out.
    """
    if not units:
        return {}
    sizes = [len(unit) for unit in units]
    unit = np.repeat(np.arange(len(units)), sizes)
    row = np.concatenate([np.arange(size) for size in sizes])
    ids = np.concatenate(units)
    order = np.lexsort((unit, ids[:, 1], ids[:, 0]))  # Groups equal ids, the first unit first.
    same = (ids[order[1:]] == ids[order[:-1]]).all(axis=1)
    later = order[1:][same]
    return {int(u): np.sort(row[later[unit[later] == u]]) for u in np.unique(unit[later])}


def parted(
    scores: pa.Table,
    rejected: pa.Table,
    later: npt.NDArray[np.int64],
    columns: Sequence[pa.Field],
    settings: ScoreSchema,
) -> tuple[pa.Table, pa.Table]:
    """Makes the published parts of a unit, with duplicates moved from scores to rejected records.

    Args:
        scores: Scores of the unit, with positions.
        rejected: Rejected records of the unit.
        later: Rows of `scores` whose id an earlier unit has.
        columns: Passthrough columns of the run.
        settings: Score schema of the run.

    Returns:
        Scores without positions and with all columns of the run, and rejected records in order.
    """
    moved = scores.take(pa.array(later))
    return _without(scores, later, columns), _with_duplicates(rejected, moved, settings)


def _without(
    scores: pa.Table, rows: npt.NDArray[np.int64], columns: Sequence[pa.Field]
) -> pa.Table:
    keep = np.ones(len(scores), bool)
    keep[rows] = False
    kept = scores.filter(pa.array(keep))
    kept = kept.drop_columns([n for n in tables_rows.UNPUBLISHED if n in kept.column_names])
    return passthrough.conformed(kept, columns)


def _with_duplicates(rejected: pa.Table, moved: pa.Table, settings: ScoreSchema) -> pa.Table:
    if not len(moved):
        return rejected
    duplicates = [
        Rejected(
            row["id"],
            Position(*_place(row[tables_rows.POSITION])),
            "publish",
            Reason.DUPLICATE_ID,
            commit.DUPLICATE,
        )
        for row in moved.select(["id", tables_rows.POSITION]).to_pylist()
    ]
    both = pa.concat_tables([rejected, tables_rows.rejected_table(duplicates, settings.provenance)])
    rows = both.select(["id", "source", "stage"]).to_pylist()
    order = sorted(
        range(len(rows)),
        key=lambda i: (rows[i]["id"], _place(rows[i]["source"])[1], rows[i]["stage"]),
    )
    return both.take(pa.array(order))


def _place(source: str) -> tuple[str, int]:
    uri, _, offset = source.rpartition("#")
    return uri, int(offset)
