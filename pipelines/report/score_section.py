"""The report's section on the published scores themselves: it needs no labels."""

import dataclasses
from collections.abc import Sequence

from markupsafe import Markup

from triad_ml.pipelines.report import charts
from triad_ml.pipelines.report.cards import records as record_cards
from triad_ml.pipelines.report.score_survey import Survey, TaskScores
from triad_ml.transforms.spec.spec import Spec

_CLASSES = 20
_CARDS = 6


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
    """Arranges what `score_survey.survey` found, task by task."""
    return tuple(_said(one, spec, records, media_roots) for one in found.tasks if any(one.counts))


def _said(
    one: TaskScores, spec: Spec, records: record_cards.Records, media_roots: tuple[str, ...]
) -> Said:
    total, bins = sum(one.counts), len(one.counts)
    rows = enumerate(one.counts)
    commonest = one.predicted[:_CLASSES]
    cards: Sequence[record_cards.Card] = ()
    if one.task in spec.tasks and spec.tasks[one.task].kind != "tagging":
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
