"""Cards of tagged texts: predicted spans on the test split, as texts with marks."""

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
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.spec.split import ALONE, KeptTogether
from triad_ml.transforms.spec.tasks import Task

MOST_RECORDS = 20_000
"""Largest number of test records considered: the first ones."""

_TEXT = 600  # characters of a text that a card shows


class Piece(NamedTuple):
    """Part of a text with the class of its span; the class is "" between spans."""

    text: str
    label: str


@dataclasses.dataclass(frozen=True)
class Card:
    """Text with the spans of its label and the predicted ones.

    Attributes:
        id: Id of the record.
        right: True if the predicted spans are those of the label.
        truth: Canonical text, split at the spans of the label.
        predicted: Canonical text, split at the predicted spans.
        score: Published score: the probability of all tags.
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
    together: KeptTogether = ALONE,
) -> tuple[Gallery[Card], ...]:
    """Joins labels and published spans by id, and picks examples of each task that shows spans.

    Args:
        spec: Spec of the model.
        records: Function that reads the records from the beginning.
        rows: Function that returns the published rows of some ids.
        most: Largest number of wrong, and of right cards of each task.
        seed: Seed of the random choice.
        media_roots: Folders, besides those of the records files, from which texts are read.
        together: Records that preprocessing kept in one split.
    """
    tasks = _tasks(spec)
    if not tasks:
        return ()
    labelled = _labelled(spec, records, media_roots, together)
    scored = [row for row in rows(frozenset(labelled)) if row["id"] in labelled]
    return tuple(_pick(task, scored, labelled, most, seed) for task in tasks)


def _tasks(spec: Spec) -> dict[str, Task]:
    """Returns the tasks whose kind shows spans, by name."""
    return {name: task for name, task in spec.tasks.items() if KINDS[task.kind].shows_spans}


class _Labelled(NamedTuple):
    record: CanonicalRecord
    truths: Mapping[str, tuple[Span, ...]]


def _labelled(
    spec: Spec, records: Records, media_roots: tuple[str, ...], together: KeptTogether
) -> dict[str, _Labelled]:
    """Returns texts of the test split with the spans of their labels; the first of an id counts."""
    labelled: dict[str, _Labelled] = {}
    tasks = _tasks(spec)
    seen = set()
    for raw in records():
        if not isinstance(raw, RawRecord) or raw.id in seen:
            continue
        seen.add(raw.id)
        if not split.is_in("test", raw.id, raw.group, raw.split, spec.split, together):
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
        labelled[raw.id] = _Labelled(dataclasses.replace(record, labels={}), truths)
        if len(labelled) == MOST_RECORDS:
            break
    return labelled


def _canonical(raw: RawRecord, spec: Spec, media_roots: tuple[str, ...]) -> CanonicalRecord | None:
    """Returns the record with its text and labels only; None if the text cannot be used."""
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
    labelled: Mapping[str, _Labelled],
    most: int,
    seed: int,
) -> Gallery[Card]:
    cards = [
        _card(row["id"], row[task], *labelled[row["id"]], task)
        for row in rows
        if task in labelled[row["id"]].truths and row.get(task) is not None
    ]
    return gallery.pick(task, cards, most, seed)


def _card(
    record_id: str,
    prediction: Mapping[str, Any],
    record: CanonicalRecord,
    truths: Mapping[str, tuple[Span, ...]],
    task: str,
) -> Card:
    predicted = []
    for span in prediction["spans"]:
        ends = (span["start"], span["end"])
        if record.offsets is not None:  # published ends count characters of the caller's text
            ends = record.offsets.inward(*ends)
        predicted.append(Span(*ends, span["label"]))
    content = record.text.decode()
    return Card(
        record_id,
        set(predicted) == set(truths[task]),
        _pieces(content, truths[task]),
        _pieces(content, predicted),
        float(prediction["score"]),
    )


def _pieces(content: str, spans_of_text: Sequence[Span]) -> tuple[Piece, ...]:
    """Splits a text at its spans; spans and text after the first `_TEXT` characters are cut."""
    pieces, end = [], 0
    for span in sorted(spans_of_text):
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
