"""Alignment of spans to words, and counts of the spans that it loses."""

import numpy as np
import pytest
import tensorflow as tf

from triad_ml.transforms.features import text as features_text
from triad_ml.transforms.features.analyzers import Analysis, KnownAnalyzers
from triad_ml.transforms.features.ids import NO_MARKER
from triad_ml.transforms.features.words import words_graph
from triad_ml.transforms.records.values import Span
from triad_ml.transforms.spec.modalities import TextSpec
from triad_ml.transforms.targets import classes
from triad_ml.transforms.targets import spans as targets_spans

NAMES = ("place", "person", "thing")
KNOWN = KnownAnalyzers(
    Analysis({classes.label_vocabulary("names"): NAMES, "text_vocabulary": ("ann", "rom")}, {})
)
NOWHERE = tf.int64.max


def sparse(rows: list[list[object]], kind: tf.DType) -> tf.SparseTensor:
    indices = [(row, column) for row, values in enumerate(rows) for column in range(len(values))]
    return tf.SparseTensor(
        tf.constant(indices, tf.int64, shape=[len(indices), 2]),
        tf.constant([value for values in rows for value in values], kind),
        [len(rows), max(map(len, rows))],
    )


def aligned(
    texts: list[str], spans: list[list[Span] | None], length: int = 6, tokens: str = "word"
) -> tuple[list[list[int]], list[tuple[int, int, int]]]:
    """Tags by record, and how many spans there are, are cut and are misaligned."""
    what = TextSpec(tokens=tokens, length=length)
    content = tf.constant([one.encode() for one in texts])
    _, words = features_text.placed_text_graph(content, what, KNOWN)
    columns = [[list(one or ()) for one in spans]]
    labels, starts, ends = (
        sparse([[getattr(span, part) for span in row] for row in columns[0]], kind)
        for part, kind in (("label", tf.string), ("start", tf.int64), ("end", tf.int64))
    )
    given = tf.constant([one is not None for one in spans], tf.int64)
    tags, counts = targets_spans.tags_graph(labels, starts, ends, given, words, "names", KNOWN)
    order = (targets_spans.SPANS, targets_spans.CUT, targets_spans.MISALIGNED)
    return tags.numpy().tolist(), list(
        zip(*(counts[n].numpy().tolist() for n in order), strict=True)
    )


def test_words_of_a_span_are_tagged_and_others_are_outside():
    tags, counts = aligned(
        ["Ann went to New York.", "Rom", "", "Ann"],
        [[Span(0, 3, "person"), Span(12, 20, "place")], [], [], None],
    )
    assert tags == [[3, 0, 0, 1, 2, 0], [0, -1, -1, -1, -1, -1], [-1] * 6, [-1] * 6]
    assert counts == [(2, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0)]


@pytest.mark.parametrize(
    ("span", "tags", "counts"),
    [
        (Span(0, 7, "place"), [1, 2, 0], (1, 0, 0)),
        (Span(3, 7, "place"), [0, 1, 0], (1, 0, 0)),  # the space before is no word
        (Span(4, 8, "place"), [0, 1, 0], (1, 0, 0)),
        (Span(1, 7, "place"), [1, 2, 0], (1, 0, 1)),
        (Span(0, 5, "place"), [1, 2, 0], (1, 0, 1)),
        (Span(5, 6, "place"), [0, 1, 0], (1, 0, 1)),
        (Span(3, 4, "place"), [0, 0, 0], (1, 0, 1)),  # no word at all
        (Span(8, 15, "place"), [0, 0, 1], (1, 1, 0)),
        (Span(9, 15, "place"), [0, 0, 1], (1, 1, 1)),
        (Span(12, 15, "place"), [0, 0, 0], (1, 1, 0)),
        (Span(8, 11, "place"), [0, 0, 1], (1, 0, 0)),
        (Span(8, 12, "place"), [0, 0, 1], (1, 0, 0)),
        (Span(8, 11, "never seen"), [0, 0, 7], (1, 0, 0)),
    ],
)
def test_what_is_only_in_part_in_a_span_or_past_the_length_is_counted(span, tags, counts):
    assert aligned(["one two two six"], [[span]], length=3) == ([tags], [counts])


def test_a_word_that_two_spans_touch_belongs_to_the_first():
    spans = [Span(0, 5, "place"), Span(5, 7, "person"), Span(7, 11, "thing")]
    assert aligned(["one two abc"], [spans], length=3) == ([[1, 2, 5]], [(3, 0, 2)])


def test_a_long_text_full_of_spans_takes_little_memory():
    tags, counts = aligned(
        ["a " * 100_000], [[Span(2 * i, 2 * i + 1, "thing") for i in range(10**5)]]
    )
    assert (tags, counts) == ([[5] * 6], [(10**5, 10**5 - 6, 0)])


def test_characters_are_tagged_where_they_are_the_tokens():
    tags, counts = aligned(
        ["a b", "\u0130x"], [[Span(0, 3, "place")], [Span(1, 2, "thing")]], 4, "character"
    )
    assert tags == [[1, 2, 2, -1], [0, 5, -1, -1]]
    assert counts == [(1, 0, 0), (1, 0, 0)]


@pytest.mark.parametrize("seed", range(8))
def test_random_spans_are_aligned_as_a_plain_reading_of_the_rule_does(seed):
    random = np.random.default_rng(seed)
    texts, spans = [], []
    for _ in range(12):
        texts.append("".join(random.choice(list("ab. ")) for _ in range(random.integers(0, 14))))
        edges = np.unique(random.integers(0, len(texts[-1]) + 1, 6)).tolist()
        pairs = list(zip(edges[::2], edges[1::2], strict=False))
        spans.append([Span(a, b, str(random.choice(NAMES))) for a, b in pairs])
    length = 5
    expected = [plain(one, found, length) for one, found in zip(texts, spans, strict=True)]
    assert aligned(texts, spans, length) == ([t for t, _ in expected], [c for _, c in expected])


def plain(text: str, spans: list[Span], length: int) -> tuple[list[int], tuple[int, int, int]]:
    content = tf.constant([text.encode()])
    _, first, last = words_graph(content)
    words = list(zip(first.to_list()[0], last.to_list()[0], strict=True))
    tags = [0] * len(words)
    cut = misaligned = 0
    taken: set[int] = set()
    for span in spans:
        touched = [i for i, (a, b) in enumerate(words) if a < span.end and b > span.start]
        kept = [i for i in touched if i < length]
        mine = [i for i in kept if i not in taken]
        for place, i in enumerate(mine):
            tags[i] = 2 * NAMES.index(span.label) + (2 if place else 1)
        taken |= set(mine)
        is_cut = len(words) > length and span.end > words[length][0]
        cut += is_cut
        partly = any(words[i][0] < span.start or words[i][1] > span.end for i in kept)
        misaligned += partly or (not mine and not is_cut)
    padded = (tags + [-1] * length)[:length]
    return padded, (len(spans), cut, misaligned)


def test_words_with_any_marked_character_are_marked():
    content = tf.constant([b"one two six", b"one two six", b"one two six", b"", b"a b c d"])
    _, words = features_text.placed_text_graph(content, TextSpec(length=3), KNOWN)
    marked = tf.constant([[4, 7], [6, 9], list(NO_MARKER), list(NO_MARKER), [6, 7]], tf.int64)
    assert targets_spans.marker_graph(marked, words).numpy().tolist() == [
        [0, 1, 0],
        [0, 1, 1],
        [0, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
    ]


def test_placed_words_have_the_ids_that_words_have_without_places():
    texts = tf.constant(
        ["ANN in \u0130zm\u0130r", "\u039f\u0394\u039f\u03a3 ROM\u03a3.", "", "rom" * 9]
    )
    for tokens in ("word", "character"):
        what = TextSpec(tokens=tokens, length=5)
        ids, words = features_text.placed_text_graph(texts, what, KNOWN)
        if tokens == "word":
            np.testing.assert_array_equal(ids, features_text.text_graph(texts, what, KNOWN))
        np.testing.assert_array_equal(words.ends.numpy() > 0, ids.numpy() > 0)
    spans = [
        [text[start:end] for start, end in zip(starts, ends, strict=True) if end]
        for text, starts, ends in zip(
            ["ANN in \u0130zm\u0130r"],
            features_text.placed_text_graph(texts, TextSpec(length=5), KNOWN)[1].starts.numpy(),
            features_text.placed_text_graph(texts, TextSpec(length=5), KNOWN)[1].ends.numpy(),
            strict=False,
        )
    ]
    assert spans == [["ANN", "in", "\u0130zm\u0130r"]]
