"""Survey of the published scores, with or without labels: a pass over a run, and its section."""

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
"""Number of bins of equal width for scores from 0 to 1."""

MOST = 12
"""Number of rows of a task that are kept as least certain, and that are drawn at random."""

_CLASSES = 20  # most answers that the section lists
_CARDS = 6  # most cards of least certain records

Row = Mapping[str, Any]
_Ranked = list[tuple[float, int, Row]]  # heap of negated ranks, so that the largest rank is on top


@dataclasses.dataclass(frozen=True)
class TaskScores:
    """Published scores of one task.

    Attributes:
        task: Name of the task.
        counts: Number of records in each bin of the score, ascending.
        predicted: Answers (classes, or sets of them) with their numbers of records, the commonest
            first.
        uncertain: Rows with the lowest scores, the lowest first.
        drawn: Rows drawn at random.
    """

    task: str
    counts: tuple[int, ...]
    predicted: tuple[tuple[str, int], ...]
    uncertain: tuple[Row, ...]
    drawn: tuple[Row, ...]


@dataclasses.dataclass(frozen=True)
class Survey:
    """Result of one pass over the published rows.

    Attributes:
        tasks: Scores of the tasks, in the order of the columns.
        rows: Rows of the requested ids, in the order of the parts.
    """

    tasks: tuple[TaskScores, ...] = ()
    rows: tuple[Row, ...] = ()

    def of(self, ids: frozenset[str]) -> Iterator[Row]:
        """Yields the kept rows with these ids."""
        return (row for row in self.rows if row["id"] in ids)


def survey(run: RunFolder, manifest: Manifest, ids: frozenset[str], seed: int = 0) -> Survey:
    """Reads each part of a run once, checks it, and keeps the rows to show.

    Memory grows with the largest part and the number of ids, not with the run.

    Args:
        run: The published run.
        manifest: Manifest of the run.
        ids: Ids of rows to keep; ids without a row are ignored.
        seed: Seed of the random draw.

    Raises:
        DamagedError: A part is missing or is not what the run wrote.
    """
    wanted = pa.array(sorted(ids), pa.string())
    collectors = {task: _Collector(seed) for task in manifest.classes}
    names = ["id", *manifest.classes, "modalities_used", "issues"]
    rows: list[Row] = []
    for file in manifest.scores:
        table = parts.table(run, file, names if file.rows else None)
        if not len(table):
            continue
        rows += table.filter(pc.is_in(table["id"].cast(pa.string()), wanted)).to_pylist()
        for task, collector in collectors.items():
            collector.add(table, task)
    scores = tuple(collector.result(task) for task, collector in collectors.items())
    return Survey(scores, tuple(rows))


class _Collector:
    """Counts and kept rows of one task, over the parts read so far."""

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
        for index, row in zip(order, rows, strict=True):
            entry = (-float(ranks[index]), -(self._seen + int(index)), row)
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
    """Section of the page on the scores of one task.

    Attributes:
        task: Name of the task.
        chart: Histogram of the records by score.
        figures: Rows of the histogram: lowest and highest score of a bin, number of records.
        predicted: Commonest answers, each with its number of records and its share.
        others: Number of records with another answer.
        uncertain: Cards of the records with the lowest scores; empty for tagging tasks.
        drawn: Cards of records drawn at random; empty for tagging tasks.
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
    """Arranges a survey for the page, as a section for each task that has scores."""
    scored = (scores for scores in found.tasks if any(scores.counts))
    return tuple(_section(scores, spec, records, media_roots) for scores in scored)


def _section(
    scores: TaskScores, spec: Spec, records: record_cards.Records, media_roots: tuple[str, ...]
) -> Said:
    task, total, bins = scores.task, sum(scores.counts), len(scores.counts)
    commonest = scores.predicted[:_CLASSES]
    uncertain = scores.uncertain[:_CARDS]
    cards: Sequence[record_cards.Card] = ()
    if task in spec.tasks and kinds.KINDS[spec.tasks[task].kind].shows_records:
        rows = (*uncertain, *scores.drawn)
        cards = record_cards.shown(spec, records, rows, task, media_roots=media_roots)
    return Said(
        task,
        charts.histogram(f"{task}: records by score", scores.counts, "score"),
        tuple((i / bins, (i + 1) / bins, n) for i, n in enumerate(scores.counts) if n),
        tuple((name, n, n / total) for name, n in commonest),
        sum(n for _, n in scores.predicted[_CLASSES:]),
        tuple(cards[: len(uncertain)]),
        tuple(cards[len(uncertain) :]),
    )
