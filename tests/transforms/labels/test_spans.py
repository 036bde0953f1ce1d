"""Spans and markers parsed from the labels of records."""

import math
from typing import Any

import pytest

from triad_ml.transforms.labels import spans
from triad_ml.transforms.labels.classes import LabelError
from triad_ml.transforms.labels.registry import named
from triad_ml.transforms.media import text
from triad_ml.transforms.records.values import CanonicalRecord, Position, Span
from triad_ml.transforms.spec.modalities import Limits
from triad_ml.transforms.spec.tasks import ClassificationTask, TaggingTask

NAMES = TaggingTask(kind="tagging", label="names")
OF_TOKENS = TaggingTask(kind="tagging", label="names", tokens="words")
TEXT = "Ann visits New York, twice."


def record(original: str = TEXT, **labels: Any) -> CanonicalRecord:
    content = original.encode()
    kept = text.canonical(content, Limits())
    place = Position("r.jsonl", 0)
    offsets = text.places(content, kept)
    return CanonicalRecord("r", place, text=kept, labels=labels, offsets=offsets)


@pytest.mark.parametrize(
    "label",
    [
        [[0, 3, "person"], [11, 19, "place"]],
        [(11, 19, "place"), (0, 3, " person ")],
        [{"start": 0, "end": 3.0, "label": "person"}, {"label": "place", "end": 19, "start": 11}],
        ["B-person", "O", "B-place", "I-place", "O"],
        ["I-person", "O", "I-place", "I-place", "O"],
    ],
)
def test_spans_come_by_their_characters_or_by_bio_tags(label):
    given = record(names=label) if isinstance(label[0], list | tuple | dict) else None
    if given is None:
        tokens = ["Ann", "visits", "New", "York", ", twice."]
        given = record(names=label, words=tokens)
        assert spans.spans(given, OF_TOKENS) == (Span(0, 3, "person"), Span(11, 19, "place"))
        return
    assert spans.spans(given, NAMES) == (Span(0, 3, "person"), Span(11, 19, "place"))


def test_tokens_without_a_list_of_their_own_are_parted_by_white_space():
    tags = ["B-person", "O", "B-place", "I-place", "O"]
    assert spans.spans(record(names=tags), NAMES) == (Span(0, 3, "person"), Span(11, 20, "place"))


def test_one_tag_may_stand_without_a_list():
    assert spans.spans(record("Ann", names="B-person"), NAMES) == (Span(0, 3, "person"),)


def test_a_tag_of_another_class_begins_a_span():
    tags = ["B-x", "I-y", "I-y", "B-y", "I-x"]
    assert spans.spans(record(names=tags), NAMES) == (
        Span(0, 3, "x"),
        Span(4, 14, "y"),
        Span(15, 20, "y"),
        Span(21, 27, "x"),
    )


def test_no_label_and_no_text_are_no_label_and_an_empty_list_is_one():
    assert spans.spans(record(), NAMES) is None
    assert spans.spans(record(names=None), NAMES) is None
    no_text = CanonicalRecord("r", Position("r", 0), image=b"x", labels={"names": []})
    assert spans.spans(no_text, NAMES) is None
    assert spans.spans(record(names=[]), NAMES) == ()


def test_places_are_the_callers_and_become_canonical():
    given = record("\x00Cafe\u0301 Mu\u0308ller", names=[[1, 6, "place"], [7, 14, "person"]])
    assert spans.spans(given, NAMES) == (Span(0, 4, "place"), Span(5, 11, "person"))
    tokens = ["Cafe\u0301", "Mu\u0308l\x00ler"]
    by_tokens = record("\x00Cafe\u0301 Mu\u0308ller", names=["B-place", "B-person"], words=tokens)
    assert spans.spans(by_tokens, OF_TOKENS) == (Span(0, 4, "place"), Span(5, 11, "person"))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (3, "a tagging task needs a list of spans or of BIO tags"),
        ("B-person", "there are not as many BIO tags as tokens"),
        ({"start": 0}, "a tagging task needs a list of spans or of BIO tags"),
        ([[0, 3]], "a span is [start, end, class]"),
        ([3], "a span is [start, end, class]"),
        ([[0, 3, "x"], "O"], "a span is [start, end, class]"),
        ([[3, 3, "x"]], "a span holds at least one character, and ends within the text"),
        ([[5, 3, "x"]], "a span holds at least one character, and ends within the text"),
        ([[0, 28, "x"]], "a span holds at least one character, and ends within the text"),
        ([[-1, 3, "x"]], "a place in a text is not under 0"),
        ([[True, 3, "x"]], "a place in a text is a whole number"),
        ([["0", 3, "x"]], "a place in a text is a whole number"),
        ([[0.5, 3, "x"]], "a place in a text is a whole number"),
        ([[0, math.nan, "x"]], "a place in a text is a whole number"),
        ([[0, math.inf, "x"]], "a place in a text is a whole number"),
        ([[0, 3, ""]], "a class is a text without control characters, and not empty"),
        ([[0, 5, "x"], [4, 9, "y"]], "spans overlap; give each layer a task of its own"),
        (["O"], "there are not as many BIO tags as tokens"),
        (["O", "O", "X-y", "O", "O"], "a BIO tag is O, B-class or I-class"),
        (["O", "O", "B", "O", "O"], "a BIO tag is O, B-class or I-class"),
    ],
)
def test_what_is_no_label_of_spans_is_refused_without_repeating_it(label, message):
    with pytest.raises(LabelError) as caught:
        spans.spans(record(names=label), NAMES)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "tokens", [["Ann", "New"], ["New", "Ann"], ["Ann", ""], "Ann visits", [1, 2], ["ann", "visits"]]
)
def test_tokens_that_are_not_those_of_the_text_are_refused(tokens):
    with pytest.raises(LabelError):
        spans.spans(record(names=["O", "O"], words=tokens), OF_TOKENS)


def test_a_span_of_nothing_but_removed_characters_is_refused():
    with pytest.raises(LabelError, match="nothing but removed control characters"):
        spans.spans(record("ab\x00cd", names=[[2, 3, "x"]]), NAMES)


@pytest.mark.parametrize(
    ("value", "tokens", "place"),
    [
        (None, None, None),
        (1, None, (4, 10)),
        (1.0, None, (4, 10)),
        ("1", None, (4, 10)),
        (2, ["Ann", "visits", "New York"], (11, 19)),
        ([4, 10], None, (4, 10)),
        ({"start": 4, "end": 10}, None, (4, 10)),
    ],
)
def test_a_marker_is_a_token_or_a_span(value, tokens, place):
    assert spans.marked(value, tokens, TEXT, None) == place


@pytest.mark.parametrize("value", [5, -1, True, "visits", [4], [4, 4], [0, 99], {"start": 4}, 1.5])
def test_a_marker_of_no_part_of_the_text_is_refused(value):
    with pytest.raises(LabelError):
        spans.marked(value, None, TEXT, None)


def test_the_names_of_a_label_are_the_classes_of_its_spans():
    given = record(names=[[11, 19, "place"], [0, 3, "person"]], kind="x")
    assert named(given, NAMES) == ("person", "place")
    assert named(given, ClassificationTask(kind="classification", label="kind")) == ("x",)
