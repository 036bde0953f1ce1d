"""Gallery of a tagging task: texts with the spans of the label and the predicted ones."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests import reports, scores
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.report import page as report_page
from triad_ml.pipelines.report.cards import spans as span_cards
from triad_ml.pipelines.report.cards.spans import Piece
from triad_ml.pipelines.tables.columns import Tagging
from triad_ml.transforms.records.values import (
    Position,
    RawRecord,
    Rejected,
    Scored,
    ScoredSpan,
    Tagged,
)
from triad_ml.transforms.spec import loading

SPEC = loading.parse("""
modalities: {text: }
tasks: {names: {kind: tagging, label: names}}
""")


def raw(name: str, text: str | None, names: Any, split: str = "test") -> RawRecord:
    labels = {} if names is None else {"names": names}
    content = None if text is None else text.encode()
    return RawRecord(name, Position("r.jsonl", 0), text=content, split=split, labels=labels)


RECORDS = (
    raw("right", "Ada met Bob", [[0, 3, "person"], [8, 11, "person"]]),
    raw("wrong", "Ada met Bob", [[0, 3, "person"]]),
    # The letter o with its mark is one character once it is composed, and two before.
    raw("composed", "Jo\u0308rg met Bob", [[0, 5, "person"]]),
    raw("train", "Ada", [[0, 3, "person"]], split="train"),
    raw("unlabelled", "Ada", None),
    raw("broken", "Ada", [[0, 99, "person"]]),
    raw("silent", None, [[0, 3, "person"]]),
)


def said(name: str, *spans: tuple[int, int, str], score: float) -> dict[str, Any]:
    found = [{"start": a, "end": b, "label": label, "score": 0.5} for a, b, label in spans]
    return {"id": name, "names": {"spans": found, "score": score}}


ROWS = (
    said("right", (0, 3, "person"), (8, 11, "person"), score=0.75),
    said("wrong", (0, 3, "person"), (8, 11, "place"), score=0.5),
    said("composed", (0, 5, "person"), score=0.25),
    said("train", score=0.5),
    said("unlabelled", score=0.5),
    said("broken", score=0.5),
)


def records() -> Iterator[RawRecord | Rejected]:
    yield from RECORDS


def rows(ids: frozenset[str]) -> list[Mapping[str, Any]]:
    return [row for row in ROWS if row["id"] in ids]


def test_labels_and_published_spans_meet_by_id() -> None:
    (found,) = span_cards.build(SPEC, records, rows)
    assert (found.task, found.num_right, found.num_wrong) == ("names", 2, 1)
    (wrong,) = found.wrong
    assert (wrong.id, wrong.score) == ("wrong", 0.5)
    assert wrong.truth == (Piece("Ada", "person"), Piece(" met Bob", ""))
    assert wrong.predicted == (
        Piece("Ada", "person"),
        Piece(" met ", ""),
        Piece("Bob", "place"),
    )
    right = {card.id: card.truth for card in found.right}
    assert right == {
        "right": (Piece("Ada", "person"), Piece(" met ", ""), Piece("Bob", "person")),
        "composed": (Piece("J\u00f6rg", "person"), Piece(" met Bob", "")),
    }


def test_the_most_confident_errors_come_first_and_no_more_than_asked_for() -> None:
    many = [raw(f"r{i}", "Ada met Bob", [[0, 3, "person"]]) for i in range(9)]
    published = [said(f"r{i}", score=i / 10) for i in range(9)]
    (found,) = span_cards.build(SPEC, lambda: iter(many), lambda ids: published, most=3, seed=1)
    assert [card.id for card in found.wrong] == ["r8", "r7", "r6"]
    assert (found.num_wrong, found.num_right) == (9, 0)


def test_a_long_text_is_cut_but_not_within_a_span() -> None:
    text = "a " * 299 + "Ada Lovelace" + " b" * 99
    long = raw("long", text, [[598, 610, "person"]])
    (found,) = span_cards.build(SPEC, lambda: iter([long]), lambda ids: [said("long", score=0.5)])
    assert found.wrong[0].truth[1:] == (Piece("Ada Lovelace", "person"), Piece(" …", ""))
    assert found.wrong[0].predicted == (Piece(text[:600], ""), Piece(" …", ""))


def test_a_spec_without_tagging_has_none(tmp_path: Path) -> None:
    spec = loading.parse("""
modalities: {text: }
tasks: {kind: {kind: classification, label: kind}}
""")
    assert span_cards.build(spec, records, rows) == ()


def test_the_page_shows_texts_with_their_marks(tmp_path: Path) -> None:
    lines = [
        {
            "id": f"r{i}",
            "split": "test",
            "text": "Ada <b> Bob",
            "labels": {"names": [[0, 3, "x&y"]]},
        }
        for i in range(2)
    ]
    inputs = reports.write_records(tmp_path / "records", lines)
    model = reports.model_folder(tmp_path / "model", SPEC, {"names": ("x&y",)}, None)
    settings = publish.ScoreSchema({"names": Tagging(("x&y",))}, scores.PROVENANCE)
    found = ((ScoredSpan(0, 3, "x&y", 0.9),), (ScoredSpan(8, 11, "x&y", 0.9),))
    scored = [
        Scored(f"r{i}", Position("r.jsonl", i), {"names": Tagged(spans, 0.5)}, ("text",))
        for i, spans in enumerate(found)
    ]
    run = scores.run_folder(tmp_path / "scores")
    start = publish.begin(run)
    publish.commit_unit(run, 0, scored, [], 2, settings)
    publish.seal(run, 1, publish.Gates(1.0), settings, {})
    publish.publish(run, start.current)
    report_page.write(model, str(tmp_path / "scores"), None, [inputs], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "names: 1 texts right, 1 wrong" in page
    assert 'dir="auto"><mark>Ada<span class="tag"> x&amp;y</span></mark> &lt;b&gt; Bob</dd>' in page
    assert 'dir="auto">Ada &lt;b&gt; <mark>Bob<span class="tag"> x&amp;y</span></mark></dd>' in page
    assert "no gallery" not in page
