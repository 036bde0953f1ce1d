"""Cards of records: predictions on the test split, with previews of the media."""

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
from triad_ml.transforms.spec.split import ALONE, KeptTogether

if TYPE_CHECKING:
    from triad_ml.pipelines.report.occlusion_view import View  # which imports TensorFlow

MOST_RECORDS = 20_000
"""Largest number of test records considered: those with the smallest SHA-256 of their id."""

_TOP = 3  # classes that a card lists

Records = Callable[[], Iterable[RawRecord | Rejected]]
Rows = Callable[[frozenset[str]], Iterable[Mapping[str, Any]]]


@dataclasses.dataclass(frozen=True)
class Chance:
    """One of the most probable classes.

    Attributes:
        name: Name of the class.
        probability: Probability of the class.
        is_true: True if the label has the class.
    """

    name: str
    probability: float
    is_true: bool


@dataclasses.dataclass(frozen=True)
class Card:
    """Record with its label and its prediction.

    Attributes:
        id: Id of the record.
        right: True if prediction and label are equal; None if the record has no label.
        truth: Classes of the label, or its text.
        predicted: Classes of the prediction, or its text.
        score: Published score.
        unseen: True if the label has a class that the model does not know.
        chances: Most probable classes, in descending order; empty for texts.
        modalities_used: Published column `modalities_used`.
        issues: Published column `issues`.
        picture: Image as a `data:` URI of at most 160 x 160 pixels, or "".
        sound: Audio clip, or None.
        text: Beginning of the text, or "".
        rests_on: Saliency of the prediction; None if it was not requested.
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
    together: KeptTogether = ALONE,
) -> tuple[Gallery[Card], ...]:
    """Joins records and published scores by id, and picks examples of each task.

    The records are read twice, once for ids and labels and once for the media of the picked
    records, so that memory does not grow with the media.

    Args:
        spec: Spec of the model.
        records: Function that reads the records from the beginning.
        rows: Function that returns the published rows of some ids.
        most: Number of wrong, and of right cards; the tasks share it, with at least three each.
        seed: Seed of the random choice.
        media_roots: Folders, besides those of the records files, from which media are read.
        together: Records that preprocessing kept in one split.

    Returns:
        One gallery for each task of the spec whose kind shows records; the gallery is empty if no
        test record has a label and a score.
    """
    tasks = [name for name, task in spec.tasks.items() if KINDS[task.kind].shows_records]
    truths = _test_labels(spec, records(), together)
    scored = [row for row in rows(frozenset(truths)) if row["id"] in truths]
    most_of_task = max(3, most // max(1, len(tasks)))
    picked = [_pick(name, scored, truths, most_of_task, seed) for name in tasks]
    ids = {card.id for chosen in picked for card in (*chosen.wrong, *chosen.right)}
    media = media_of(ids, records, spec, media_roots)

    def with_media(cards: Iterable[Card]) -> tuple[Card, ...]:
        return tuple(dataclasses.replace(card, **media.get(card.id, {})) for card in cards)

    return tuple(
        dataclasses.replace(chosen, wrong=with_media(chosen.wrong), right=with_media(chosen.right))
        for chosen in picked
    )


def test_ids(
    spec: Spec, records: Iterable[RawRecord | Rejected], together: KeptTogether
) -> frozenset[str]:
    """Returns the ids of the test split that a gallery may show: at most twice `MOST_RECORDS`.

    Galleries of records take those with the smallest digests, galleries of spans the first ones.
    """
    firsts: dict[str, dict[str, tuple[str, ...]]] = {}
    kept: dict[str, dict[str, tuple[str, ...]]] = {}
    for record in records:
        if isinstance(record, Rejected) or record.id in kept or record.id in firsts:
            continue
        if not _is_test(record, spec, together):
            continue
        kept[record.id] = {}
        if len(firsts) < MOST_RECORDS:
            firsts[record.id] = {}
        if len(kept) >= 2 * MOST_RECORDS:
            kept = _smallest(kept)
    return frozenset(firsts) | frozenset(_smallest(kept))


def shown(
    spec: Spec,
    records: Records,
    rows: Iterable[Mapping[str, Any]],
    task: str,
    *,
    media_roots: tuple[str, ...] = (),
) -> tuple[Card, ...]:
    """Returns a card for each published row, without the label of its record.

    Args:
        spec: Spec of the model.
        records: Function that reads the records, which have the media.
        rows: Published rows.
        task: Task whose prediction the cards show; its kind shows records.
        media_roots: Folders, besides those of the records files, from which media are read.
    """
    cards = [_card(row, row[task], None) for row in rows if row.get(task) is not None]
    media = media_of({card.id for card in cards}, records, spec, media_roots)
    return tuple(dataclasses.replace(card, **media.get(card.id, {})) for card in cards)


def _is_test(record: RawRecord, spec: Spec, together: KeptTogether) -> bool:
    return split.is_in("test", record.id, record.group, record.split, spec.split, together)


def _test_labels(
    spec: Spec, records: Iterable[RawRecord | Rejected], together: KeptTogether
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Returns the labels of the test split by id and task; the first record of an id counts."""
    labels: dict[str, dict[str, tuple[str, ...]]] = {}
    for record in records:
        if isinstance(record, Rejected) or record.id in labels:
            continue
        if not _is_test(record, spec, together):
            continue
        by_task = {}
        for name, task in spec.tasks.items():
            kind = KINDS[task.kind]
            if not kind.shows_records:
                continue
            try:
                classes = kind.truth(record.labels.get(task.label), task)
            except labels_classes.LabelError:
                continue
            if classes is not None:
                by_task[name] = classes
        labels[record.id] = by_task
        if len(labels) >= 2 * MOST_RECORDS:
            labels = _smallest(labels)
    return _smallest(labels)


def _smallest(
    by_id: dict[str, dict[str, tuple[str, ...]]],
) -> dict[str, dict[str, tuple[str, ...]]]:
    if len(by_id) <= MOST_RECORDS:
        return by_id
    kept = sorted(by_id, key=lambda i: hashlib.sha256(i.encode("utf-8", "replace")).digest())
    return {i: by_id[i] for i in kept[:MOST_RECORDS]}


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


def media_of(
    ids: set[str], records: Records, spec: Spec, media_roots: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """Returns the previews of the first record of each id, as fields of `Card`."""
    media: dict[str, dict[str, Any]] = {}
    for record in records() if ids else ():
        if isinstance(record, RawRecord) and record.id in ids and record.id not in media:
            media[record.id] = _media(record, spec, media_roots)
    return media


def _media(record: RawRecord, spec: Spec, media_roots: tuple[str, ...]) -> dict[str, Any]:
    """Returns the previews of a record's media, as fields of `Card`.

    A medium that cannot be read is left out; the row's issues have the reason.
    """
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
