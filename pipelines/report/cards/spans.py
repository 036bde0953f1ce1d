"""Right and wrong spans of the test split, as texts with marks."""

import dataclasses
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from triad_ml.pipelines.report.cards import gallery
from triad_ml.pipelines.report.cards.gallery import Gallery
from triad_ml.pipelines.report.cards.records import Records, Rows
from triad_ml.pipelines.report.kinds import KINDS
from triad_ml.pipelines.report.previews import content_of
from triad_ml.transforms.labels import classes, spans
from triad_ml.transforms.media import text as media_text
from triad_ml.transforms.media import uris
from triad_ml.transforms.records.values import CanonicalRecord, MediumError, RawRecord, Span
from triad_ml.transforms.spec import split
from triad_ml.transforms.spec.spec import Spec, Task

MOST_RECORDS = 20_000
"""Test records that are considered: the first ones."""

_TEXT = 600


class Piece(NamedTuple):
    """A part of a text: what it is tagged as, or "" between spans."""

    text: str
    label: str


@dataclasses.dataclass(frozen=True)
class Card:
    """One text with the spans that it has and those that the model found.

    Attributes:
        truth: The canonical text in pieces.
        predicted: The same text in other pieces.
        score: As published: the probability of all tags.
    """

    id: str
    right: bool
    truth: tuple[Piece, ...]
    predicted: tuple[Piece, ...]
    score: float


def build(
    spec: Spec,
    records: Records,
    rows: Rows,
    *,
    most: int = 6,
    seed: int = 0,
    media_roots: tuple[str, ...] = (),
) -> tuple[Gallery[Card], ...]:
    """Joins labels and published spans by id, and picks examples of each task that shows spans.

    Args:
        spec: Of the model.
        records: Gives the records afresh.
        rows: Gives the published rows of the ids asked for.
        most: Cards of each kind and task.
        seed: Of the random choice.
        media_roots: Folders, besides those of the records files, that texts may come from.
    """
    tasks = _tasks(spec)
    if not tasks:
        return ()
    found = _labelled(spec, records, media_roots)
    scored = [row for row in rows(frozenset(found)) if row["id"] in found]
    return tuple(_pick(task, scored, found, most, seed) for task in tasks)


def _tasks(spec: Spec) -> dict[str, Task]:
    """By name the tasks whose kind shows spans."""
    return {name: task for name, task in spec.tasks.items() if KINDS[task.kind].shows_spans}


class _Labelled(NamedTuple):
    record: CanonicalRecord
    truths: Mapping[str, tuple[Span, ...]]


def _labelled(spec: Spec, records: Records, media_roots: tuple[str, ...]) -> dict[str, _Labelled]:
    """By id, the texts of the test split with the spans of their labels; the first id wins."""
    found: dict[str, _Labelled] = {}
    tasks = _tasks(spec)
    seen = set()
    for raw in records():
        if not isinstance(raw, RawRecord) or raw.id in seen:
            continue
        seen.add(raw.id)
        if not split.is_in("test", raw.id, raw.group, raw.split, spec.split):
            continue
        record = _canonical(raw, spec, media_roots)
        if record is None:
            continue
        truths = {}
        for name, task in tasks.items():
            try:
                label = spans.spans(record, task)
            except classes.LabelError:
                continue
            if label is not None:
                truths[name] = label
        found[raw.id] = _Labelled(dataclasses.replace(record, labels={}), truths)
        if len(found) == MOST_RECORDS:
            break
    return found


def _canonical(raw: RawRecord, spec: Spec, media_roots: tuple[str, ...]) -> CanonicalRecord | None:
    """The text of a record, and its labels; None where there is none that can be used."""
    roots = uris.Roots(posixpath.dirname(raw.position.uri), media_roots)
    try:
        stored = content_of(raw.text, roots, spec.limits.text_bytes)
        if not stored:
            return None
        kept = media_text.canonical(stored, spec.limits)
    except MediumError:
        return None
    places = media_text.places(stored, kept)
    return CanonicalRecord(raw.id, raw.position, text=kept, labels=raw.labels, offsets=places)


def _pick(
    task: str,
    rows: Sequence[Mapping[str, Any]],
    found: Mapping[str, _Labelled],
    most: int,
    seed: int,
) -> Gallery[Card]:
    cards = [
        _card(row["id"], row[task], *found[row["id"]], task)
        for row in rows
        if task in found[row["id"]].truths and row.get(task) is not None
    ]
    return gallery.pick(task, cards, most, seed)


def _card(
    name: str,
    said: Mapping[str, Any],
    record: CanonicalRecord,
    truths: Mapping[str, tuple[Span, ...]],
    task: str,
) -> Card:
    predicted = []
    for one in said["spans"]:
        place = (one["start"], one["end"])
        if record.offsets is not None:  # published places are characters of the caller's text
            place = record.offsets.inward(*place)
        predicted.append(Span(*place, one["label"]))
    content = record.text.decode()
    return Card(
        name,
        set(predicted) == set(truths[task]),
        _pieces(content, truths[task]),
        _pieces(content, predicted),
        float(said["score"]),
    )


def _pieces(content: str, found: Sequence[Span]) -> tuple[Piece, ...]:
    """A text cut at its spans; what lies behind the first `_TEXT` characters is left out."""
    pieces, end = [], 0
    for span in sorted(found):
        if span.start >= _TEXT:
            break
        pieces += [
            Piece(content[end : span.start], ""),
            Piece(content[span.start : span.end], span.label),
        ]
        end = span.end
    pieces.append(Piece(content[end : max(end, _TEXT)], ""))
    if len(content) > max(end, _TEXT):
        pieces.append(Piece(" …", ""))
    return tuple(piece for piece in pieces if piece.text)
