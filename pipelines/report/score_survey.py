"""What published scores say by themselves, labels or not: one pass over the parts of a run."""

import collections
import dataclasses
import heapq
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from triad_ml.pipelines.publishing import parts
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.publishing.run_folder import RunFolder

BINS = 20
"""Bins of equal width into which scores, from 0 to 1, are counted."""

MOST = 12
"""Rows of a task that are kept to be shown: the least certain ones, and ones drawn at random."""

Row = Mapping[str, Any]
_Ranked = list[tuple[float, int, Row]]  # a heap: the largest first, by its negative


@dataclasses.dataclass(frozen=True)
class TaskScores:
    """The published scores of one task.

    Attributes:
        task: Its name.
        counts: Records by bin of their score, ascending.
        predicted: Classes, or sets of them, by how many records have them, the commonest first.
        uncertain: Rows of the lowest scores, the lowest first.
        drawn: Rows drawn at random.
    """

    task: str
    counts: tuple[int, ...]
    predicted: tuple[tuple[str, int], ...]
    uncertain: tuple[Row, ...]
    drawn: tuple[Row, ...]


@dataclasses.dataclass(frozen=True)
class Survey:
    """What one pass over the published rows found.

    Attributes:
        tasks: In the order of the columns.
        rows: The rows of the ids that were asked for, in the order of the parts.
    """

    tasks: tuple[TaskScores, ...] = ()
    rows: tuple[Row, ...] = ()

    def of(self, ids: frozenset[str]) -> Iterator[Row]:
        """The kept rows with these ids."""
        return (row for row in self.rows if row["id"] in ids)


def survey(run: RunFolder, manifest: Manifest, ids: frozenset[str], seed: int = 0) -> Survey:
    """Reads each part of a run once, checks it, and keeps what is to be shown.

    Memory grows with the largest part and the ids, not with the run.

    Args:
        run: Published.
        manifest: Of the run.
        ids: Rows to keep, where they are there.
        seed: Of the random draw.

    Raises:
        DamagedError: A part is missing or is not what the run wrote.
    """
    wanted = pa.array(sorted(ids), pa.string())
    found = {task: _Found(seed) for task in manifest.classes}
    columns = ["id", *manifest.classes, "modalities_used", "issues"]
    rows: list[Row] = []
    for file in manifest.scores:
        table = parts.table(run, file, columns if file.rows else None)
        if not len(table):
            continue
        rows += table.filter(pc.is_in(table["id"].cast(pa.string()), wanted)).to_pylist()
        for task, one in found.items():
            one.add(table, task)
    return Survey(tuple(one.result(task) for task, one in found.items()), tuple(rows))


class _Found:
    """What the parts up to here say of one task."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._counts = np.zeros(BINS, np.int64)
        self._predicted: collections.Counter[str] = collections.Counter()
        self._uncertain: _Ranked = []
        self._drawn: _Ranked = []
        self._seen = 0

    def add(self, table: pa.Table, task: str) -> None:
        column = table.column(task).combine_chunks()
        scores = column.field("score").to_numpy(zero_copy_only=False).astype(np.float64)
        self._counts += np.histogram(scores, BINS, (0.0, 1.0))[0]
        if column.type.get_field_index("label") >= 0:
            self._predicted.update(_labels(column.field("label")))
        self._keep(self._uncertain, table, scores)
        self._keep(self._drawn, table, self._random.random(len(table)))
        self._seen += len(table)

    def _keep(self, heap: _Ranked, table: pa.Table, ranks: npt.NDArray[np.float64]) -> None:
        order = np.argsort(ranks, kind="stable")[:MOST]
        if len(heap) == MOST:
            order = order[-ranks[order] > heap[0][0]]
        rows = table.take(pa.array(order)).to_pylist()
        for place, row in zip(order, rows, strict=True):
            entry = (-float(ranks[place]), -(self._seen + int(place)), row)
            if len(heap) < MOST:
                heapq.heappush(heap, entry)
            else:
                heapq.heappushpop(heap, entry)

    def result(self, task: str) -> TaskScores:
        predicted = sorted(self._predicted.items(), key=lambda pair: (-pair[1], pair[0]))
        return TaskScores(
            task,
            tuple(int(n) for n in self._counts),
            tuple(predicted),
            _ordered(self._uncertain),
            _ordered(self._drawn),
        )


def _labels(labels: pa.Array) -> Iterator[str]:
    """The label of each row, sets as one text."""
    if pa.types.is_string(labels.type):
        return iter(labels.to_pylist())
    return (", ".join(sorted(classes)) or "none" for classes in labels.to_pylist())


def _ordered(heap: _Ranked) -> tuple[Row, ...]:
    return tuple(row for _, _, row in sorted(heap, reverse=True))
