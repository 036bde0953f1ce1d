"""Right and wrong predictions of the test split, with media small enough for one page."""

import dataclasses
import hashlib
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from triad_ml.pipelines.report.cards import gallery
from triad_ml.pipelines.report.cards.gallery import Gallery
from triad_ml.pipelines.report.kinds import KINDS
from triad_ml.pipelines.report.previews import PREVIEWS, Sound, content_of
from triad_ml.pipelines.tables import columns
from triad_ml.transforms.labels import classes as labels_classes
from triad_ml.transforms.media import uris
from triad_ml.transforms.media.registry import MEDIA
from triad_ml.transforms.records.values import MediumError, RawRecord, Rejected
from triad_ml.transforms.spec import split
from triad_ml.transforms.spec.spec import Spec

if TYPE_CHECKING:
    from triad_ml.pipelines.report.occlusion_view import View  # which imports TensorFlow

MOST_RECORDS = 20_000
"""Test records that are considered; of more, those with the smallest digest of their id."""

_TOP = 3

Records = Callable[[], Iterable[RawRecord | Rejected]]
Rows = Callable[[frozenset[str]], Iterable[Mapping[str, Any]]]


@dataclasses.dataclass(frozen=True)
class Chance:
    """One class of the likeliest."""

    name: str
    probability: float
    is_true: bool


@dataclasses.dataclass(frozen=True)
class Card:
    """One record with what it is and what the model takes it for.

    Attributes:
        right: Whether it is the truth; None where the record has no label.
        truth: The classes of the label, or the text.
        predicted: The classes of the prediction, or the text.
        score: As published.
        unseen: A class of the label is none of the model's.
        chances: The likeliest classes, the likeliest first; none of texts.
        picture: A `data:` URI of at most 160 x 160 pixels, or "".
        modalities_used: As published.
        issues: As published.
        rests_on: What the prediction rests on, where that was asked for.
    """

    id: str
    right: bool | None
    truth: tuple[str, ...]
    predicted: tuple[str, ...]
    score: float
    unseen: bool
    chances: tuple[Chance, ...]
    modalities_used: tuple[str, ...]
    issues: tuple[str, ...]
    picture: str = ""
    sound: Sound | None = None
    text: str = ""
    rests_on: "View | None" = None


def build(
    spec: Spec,
    records: Records,
    rows: Rows,
    *,
    most: int = 12,
    seed: int = 0,
    media_roots: tuple[str, ...] = (),
) -> tuple[Gallery[Card], ...]:
    """Joins records and published scores by id, and picks examples of each task.

    The records are read twice, once for ids and labels and once for the media of what was picked,
    so that memory does not grow with the media.

    Args:
        spec: Of the model.
        records: Gives the records afresh at each call.
        rows: Gives the published rows of the ids asked for.
        most: Cards of each kind, shared by the tasks, but at least three for each.
        seed: Of the random choice.
        media_roots: Folders, besides those of the records files, that media may come from.

    Returns:
        One gallery for each task of the spec whose kind shows records; empty where no test record
        has a label and a score.
    """
    tasks = [name for name, task in spec.tasks.items() if KINDS[task.kind].shows_records]
    truths = _test_labels(spec, records())
    found = [row for row in rows(frozenset(truths)) if row["id"] in truths]
    each = max(3, most // max(1, len(tasks)))
    picked = {name: _pick(name, found, truths, each, seed) for name in tasks}
    ids = {card.id for one in picked.values() for card in (*one.wrong, *one.right)}
    media = _media_of(ids, records, spec, media_roots)
    return tuple(
        dataclasses.replace(
            one,
            wrong=tuple(dataclasses.replace(card, **media.get(card.id, {})) for card in one.wrong),
            right=tuple(dataclasses.replace(card, **media.get(card.id, {})) for card in one.right),
        )
        for one in picked.values()
    )


def test_ids(spec: Spec, records: Iterable[RawRecord | Rejected]) -> frozenset[str]:
    """Ids of the test split that a gallery may show: twice `MOST_RECORDS` at most."""
    firsts: dict[str, dict[str, tuple[str, ...]]] = {}
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for record in records:
        if isinstance(record, Rejected) or record.id in found or record.id in firsts:
            continue
        if not split.is_in("test", record.id, record.group, record.split, spec.split):
            continue
        found[record.id] = {}
        if len(firsts) < MOST_RECORDS:
            firsts[record.id] = {}
        if len(found) >= 2 * MOST_RECORDS:
            found = _smallest(found)
    return frozenset(firsts) | frozenset(_smallest(found))


def shown(
    spec: Spec,
    records: Records,
    rows: Iterable[Mapping[str, Any]],
    task: str,
    *,
    media_roots: tuple[str, ...] = (),
) -> tuple[Card, ...]:
    """A card for each published row, whether or not its record has a label.

    Args:
        spec: Of the model.
        records: Gives the records, from which the media come.
        rows: Published ones.
        task: Which prediction the cards are about; one whose kind shows records.
        media_roots: Folders, besides those of the records files, that media may come from.
    """
    cards = [_card(row, row[task], None) for row in rows if row.get(task) is not None]
    media = _media_of({card.id for card in cards}, records, spec, media_roots)
    return tuple(dataclasses.replace(card, **media.get(card.id, {})) for card in cards)


def _test_labels(
    spec: Spec, records: Iterable[RawRecord | Rejected]
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Id -> task -> classes, of the labelled records of the test split; the first of an id wins."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for record in records:
        if isinstance(record, Rejected) or record.id in found:
            continue
        if not split.is_in("test", record.id, record.group, record.split, spec.split):
            continue
        known = {}
        for name, task in spec.tasks.items():
            kind = KINDS[task.kind]
            if not kind.shows_records:
                continue
            try:
                classes = kind.truth(record.labels.get(task.label), task)
            except labels_classes.LabelError:
                continue
            if classes is not None:
                known[name] = classes
        found[record.id] = known
        if len(found) >= 2 * MOST_RECORDS:
            found = _smallest(found)
    return _smallest(found)


def _smallest(
    found: dict[str, dict[str, tuple[str, ...]]],
) -> dict[str, dict[str, tuple[str, ...]]]:
    if len(found) <= MOST_RECORDS:
        return found
    kept = sorted(found, key=lambda i: hashlib.sha256(i.encode("utf-8", "replace")).digest())
    return {i: found[i] for i in kept[:MOST_RECORDS]}


def _pick(
    task: str,
    rows: Sequence[Mapping[str, Any]],
    truths: Mapping[str, Mapping[str, tuple[str, ...]]],
    most: int,
    seed: int,
) -> Gallery[Card]:
    cards = [
        _card(row, row[task], truths[row["id"]][task])
        for row in rows
        if task in truths[row["id"]] and row.get(task) is not None
    ]
    return gallery.pick(task, cards, most, seed)


def _card(
    row: Mapping[str, Any], prediction: Mapping[str, Any], truth: tuple[str, ...] | None
) -> Card:
    kind = KINDS[columns.kind_of(prediction)]
    predicted, shares = kind.predicted(prediction), kind.chances(prediction)
    likeliest = sorted(shares.items(), key=lambda pair: -pair[1])[:_TOP]
    return Card(
        id=row["id"],
        right=None if truth is None else set(predicted) == set(truth),
        truth=truth or (),
        predicted=predicted,
        score=float(prediction["score"]),
        unseen=bool(shares) and not shares.keys() >= set(truth or ()),
        chances=tuple(Chance(name, float(p), name in (truth or ())) for name, p in likeliest),
        modalities_used=tuple(row["modalities_used"]),
        issues=tuple(row["issues"] or ()),
    )


def _media_of(
    ids: set[str], records: Records, spec: Spec, media_roots: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """By id, what of the first record with that id can be shown."""
    media: dict[str, dict[str, Any]] = {}
    for record in records() if ids else ():
        if isinstance(record, RawRecord) and record.id in ids and record.id not in media:
            media[record.id] = _media(record, spec, media_roots)
    return media


def _media(record: RawRecord, spec: Spec, media_roots: tuple[str, ...]) -> dict[str, Any]:
    """What of a record can be shown. What cannot be read is left out: the row's issues say why."""
    roots = uris.Roots(posixpath.dirname(record.position.uri), media_roots)
    shown: dict[str, Any] = {}
    for name in spec.modalities.names:
        try:
            cap = MEDIA[name].most_bytes(spec.limits)
            content = content_of(getattr(record, name), roots, cap)
            if content:
                shown[PREVIEWS[name].field] = PREVIEWS[name].make(content, spec)
        except MediumError:
            continue
    return shown
