"""The published scores themselves, with labels or without: a pass over a run, and its section."""

import collections
import dataclasses
import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from triad_ml.pipelines.publishing import parts
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.report import charts, kinds
from triad_ml.pipelines.report.cards import records as record_cards
from triad_ml.pipelines.tables import columns
from triad_ml.transforms.spec.spec import Spec

BINS = 20
"""Bins of equal width into which scores, from 0 to 1, are counted."""

MOST = 12
"""Rows of a task that are kept to be shown: the least certain ones, and ones drawn at random."""

_CLASSES = 20
_CARDS = 6

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
    names = ["id", *manifest.classes, "modalities_used", "issues"]
    rows: list[Row] = []
    for file in manifest.scores:
        table = parts.table(run, file, names if file.rows else None)
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
        kind = kinds.KINDS[columns.kind_of([field.name for field in column.type])]
        scores = kind.scores(column)
        self._counts += np.histogram(scores, BINS, (0.0, 1.0))[0]
        self._predicted.update(kind.answers(column))
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


def _ordered(heap: _Ranked) -> tuple[Row, ...]:
    return tuple(row for _, _, row in sorted(heap, reverse=True))


@dataclasses.dataclass(frozen=True)
class Said:
    """What the scores of one task look like.

    Attributes:
        task: Its name.
        chart: Records by score.
        figures: The same as rows: lowest and highest score of a bin, and records.
        predicted: The commonest answers, with their records and their share.
        others: Records with another answer.
        uncertain: Cards of the records of the lowest scores; none of tagged texts.
        drawn: Cards of records drawn at random.
    """

    task: str
    chart: Markup
    figures: tuple[tuple[float, float, int], ...]
    predicted: tuple[tuple[str, int, float], ...]
    others: int
    uncertain: tuple[record_cards.Card, ...]
    drawn: tuple[record_cards.Card, ...]


def view(
    found: Survey, spec: Spec, records: record_cards.Records, media_roots: tuple[str, ...]
) -> tuple[Said, ...]:
    """Arranges what `survey` found, task by task."""
    return tuple(_said(one, spec, records, media_roots) for one in found.tasks if any(one.counts))


def _said(
    one: TaskScores, spec: Spec, records: record_cards.Records, media_roots: tuple[str, ...]
) -> Said:
    total, bins = sum(one.counts), len(one.counts)
    rows = enumerate(one.counts)
    commonest = one.predicted[:_CLASSES]
    cards: Sequence[record_cards.Card] = ()
    if one.task in spec.tasks and kinds.KINDS[spec.tasks[one.task].kind].shows_records:
        shown = (*one.uncertain[:_CARDS], *one.drawn)
        cards = record_cards.shown(spec, records, shown, one.task, media_roots=media_roots)
    return Said(
        one.task,
        charts.histogram(f"{one.task}: records by score", one.counts, "score"),
        tuple((place / bins, (place + 1) / bins, n) for place, n in rows if n),
        tuple((name, n, n / total) for name, n in commonest),
        sum(n for _, n in one.predicted[_CLASSES:]),
        tuple(cards[: min(_CARDS, len(one.uncertain))]),
        tuple(cards[min(_CARDS, len(one.uncertain)) :]),
    )
