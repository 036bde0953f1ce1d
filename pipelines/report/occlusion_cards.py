"""Saliency on cards of the gallery."""

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
    """Explains the first cards of each task, wrong and right ones in turn.

    Args:
        galleries: Galleries of `cards.records.build`.
        model: Model that made the predictions.
        records: Function that reads the records from the beginning.
        media_roots: Folders, besides those of the records files, from which media are read.
        most: Largest number of cards of each task.
    """
    chosen = {gallery.task: _chosen(gallery, most) for gallery in galleries}
    wanted = set(itertools.chain.from_iterable(chosen.values()))
    canonical = _canonical(records(), wanted, Canonicalizer(model.spec, media_roots))
    scorer = Scorer(model)
    done = []
    for gallery in galleries:
        task = gallery.task
        indices = {name: index for index, name in enumerate(model.classes[task])}
        views: dict[str, View] = {}
        for card in (*gallery.wrong, *gallery.right):
            record = canonical.get(card.id)
            if card.id not in chosen[task] or record is None:
                continue
            label = card.chances[0].name  # the most probable class
            saliency = occlusion.explain(scorer, record, task, indices[label], label)
            views[card.id] = occlusion_view.view(saliency, record)
        _log.info("%s: what %d predictions rest on", task, len(views))
        wrong, right = _with(gallery.wrong, views), _with(gallery.right, views)
        done.append(dataclasses.replace(gallery, wrong=wrong, right=right))
    return tuple(done)


def _chosen(gallery: Gallery[Card], most: int) -> list[str]:
    pairs = itertools.zip_longest(gallery.wrong, gallery.right)
    return [card.id for pair in pairs for card in pair if card is not None][:most]


def _with(cards: tuple[Card, ...], views: dict[str, View]) -> tuple[Card, ...]:
    return tuple(dataclasses.replace(card, rests_on=views.get(card.id)) for card in cards)


def _canonical(
    records: Iterable[object], wanted: set[str], canonicalizer: Canonicalizer
) -> dict[str, CanonicalRecord]:
    """Returns the wanted records in canonical form, by id; the first record of an id counts."""
    result: dict[str, CanonicalRecord] = {}
    for record in records:
        if isinstance(record, RawRecord) and record.id in wanted and record.id not in result:
            canonical = canonicalizer.canonical(record)
            if isinstance(canonical, CanonicalRecord):
                result[record.id] = canonical
    return result
