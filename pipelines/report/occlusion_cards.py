"""Cards of the gallery that say what their predictions rest on."""

import dataclasses
import itertools
import logging
from collections.abc import Iterable, Sequence

from triad_ml.model.serving.bundle import Artefact
from triad_ml.model.serving.scorer import Scorer
from triad_ml.pipelines.report import occlusion, occlusion_view
from triad_ml.pipelines.report.cards.gallery import Gallery
from triad_ml.pipelines.report.cards.records import Card, Records
from triad_ml.pipelines.report.occlusion_view import View
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import CanonicalRecord, RawRecord

_log = logging.getLogger(__name__)


def add(
    galleries: Sequence[Gallery[Card]],
    model: Artefact,
    records: Records,
    media_roots: tuple[str, ...],
    most: int,
) -> tuple[Gallery[Card], ...]:
    """Explains the first cards of each task, wrong and right ones by turns.

    Args:
        galleries: See `gallery.build`.
        model: That made the predictions.
        records: Gives the records afresh.
        media_roots: Folders, besides those of the records files, that media may come from.
        most: Cards of each task.
    """
    chosen = {one.task: _chosen(one, most) for one in galleries}
    wanted = set(itertools.chain.from_iterable(chosen.values()))
    found = _canonical(records(), wanted, Canonicalizer(model.spec, media_roots))
    scorer = Scorer(model)
    done = []
    for one in galleries:
        places = {name: place for place, name in enumerate(model.classes[one.task])}
        views: dict[str, View] = {}
        for card in (*one.wrong, *one.right):
            record = found.get(card.id)
            if card.id not in chosen[one.task] or record is None:
                continue
            label = card.chances[0].name  # the likeliest
            rests_on = occlusion.explain(scorer, record, one.task, places[label], label)
            views[card.id] = occlusion_view.view(rests_on, record)
        _log.info("%s: what %d predictions rest on", one.task, len(views))
        done.append(
            dataclasses.replace(one, wrong=_with(one.wrong, views), right=_with(one.right, views))
        )
    return tuple(done)


def _chosen(one: Gallery[Card], most: int) -> list[str]:
    pairs = itertools.zip_longest(one.wrong, one.right)
    return [card.id for pair in pairs for card in pair if card is not None][:most]


def _with(cards: tuple[Card, ...], views: dict[str, View]) -> tuple[Card, ...]:
    return tuple(dataclasses.replace(card, rests_on=views.get(card.id)) for card in cards)


def _canonical(
    records: Iterable[object], wanted: set[str], canonicalizer: Canonicalizer
) -> dict[str, CanonicalRecord]:
    """The records wanted, as scoring sees them; the first of an id counts."""
    found: dict[str, CanonicalRecord] = {}
    for record in records:
        if isinstance(record, RawRecord) and record.id in wanted and record.id not in found:
            made = canonicalizer.canonical(record)
            if isinstance(made, CanonicalRecord):
                found[record.id] = made
    return found
