"""Conversion of texts to target tokens, and back to the same texts."""

import unicodedata

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from triad_ml.transforms.features import subwords
from triad_ml.transforms.features.analyzers import Analysis, KnownAnalyzers
from triad_ml.transforms.features.ids import MISSING_LABEL
from triad_ml.transforms.features.source_words import source_of
from triad_ml.transforms.labels import classes
from triad_ml.transforms.labels.classes import LabelError
from triad_ml.transforms.spec.modalities import TextSpec
from triad_ml.transforms.spec.tasks import GenerationTask
from triad_ml.transforms.targets import texts as targets_texts
from triad_ml.transforms.targets.texts import END, FIRST_PIECE, NO_UNIT, UNKNOWN

LENGTH = 8
TASK = GenerationTask(kind="generation", label="x", vocabulary=100, length=12)
ALPHABET = 'abcdeé ,("=)名ー\u200b'
TEXTS = st.text(ALPHABET, max_size=30).map(lambda t: " ".join(t.split()))
LONG = GenerationTask(kind="generation", label="x", vocabulary=100, length=100)


def learned(*texts, size=100):
    counts = {}
    for row in targets_texts.spaced_words(tf.constant([t.encode() for t in texts])).to_list():
        for word in row:
            counts[word.decode()] = counts.get(word.decode(), 0) + 1
    return subwords.learn(counts, size)


def features(vocabulary, texts, sources=None, task=TASK):
    """What the graph makes of labels (None: there is none) and of the records' own texts."""
    known = KnownAnalyzers(Analysis({"label_t_vocabulary": tuple(vocabulary)}, {}))
    there = [place for place, text in enumerate(texts) if text is not None]
    inputs = {
        "label_t": tf.SparseTensor(
            tf.constant([[place, 0] for place in there], tf.int64, shape=[len(there), 2]),
            tf.constant([texts[place] for place in there], tf.string),
            [len(texts), 1 if there else 0],
        ),
        "label_t_given": tf.constant([text is not None for text in texts], tf.int64),
    }
    source = None
    if sources is not None:
        source = source_of(tf.constant(sources), TextSpec(length=LENGTH))
    found = targets_texts.target_graph(inputs, "t", task, source, known)
    surfaces = source.words.to_tensor("", shape=[None, LENGTH]) if source else None
    return {name: value.numpy() for name, value in found.items()}, surfaces


def written(units, vocabulary, surfaces=(), task=TASK):
    """Units as text again, by plain Python."""
    said = ""
    for unit in units:
        copied = unit - targets_texts.copies(task)
        if unit == END:
            break
        if copied >= 0:
            space = " " if copied >= LENGTH else ""
            said += space + surfaces[copied % LENGTH].decode()
        else:
            said += "\ufffd" if unit == UNKNOWN else vocabulary[unit - FIRST_PIECE]
    return said


def test_the_most_frequent_pairs_are_joined_first():
    assert subwords.learn({"ab": 5, "abc": 3, "bc": 1, " ab": 1}, 7) == (
        "b", "a", "c", " ", "ab", "abc"
    )  # fmt: skip


def test_equal_counts_give_equal_pieces_in_any_order():
    counts = {f"w{i % 7}{i % 3}x{i}": 1 + i % 4 for i in range(60)}
    shuffled = dict(sorted(counts.items(), key=lambda one: one[0][::-1]))
    assert subwords.learn(counts, 50) == subwords.learn(shuffled, 50)
    assert subwords.learn(counts, 5) == subwords.learn(counts, 50)[:5]


def test_no_piece_is_longer_than_the_graph_looks():
    found = subwords.learn({"abcdefghijklmnopqrstuvwxyz": 9}, 100)
    assert max(map(len, found)) == subwords.MOST_CHARACTERS


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4), st.lists(TEXTS, min_size=4, max_size=4))
def test_any_text_of_known_characters_comes_back(texts, sources):
    vocabulary = learned(*texts, ALPHABET, size=40)
    for given_sources in (None, sources[: len(texts)]):
        found, surfaces = features(vocabulary, texts, given_sources, LONG)
        rows = [()] * len(texts) if surfaces is None else surfaces.numpy()
        for text, units, row in zip(texts, found["label_t"], rows, strict=True):
            assert written(units, vocabulary, row, LONG) == text


def test_words_are_cut_into_the_longest_pieces():
    vocabulary = ("a", "b", "c", " ", "ab", "abc", " ab")
    found, _ = features(vocabulary, ["abcab abc abd"])
    said = [("?", "?", *vocabulary)[unit] for unit in found["label_t"][0]]
    assert said[:7] == ["abc", "ab", " ab", "c", " ab", "?", "?"]


def test_long_words_are_cut_without_a_loss():
    text = "abc" * 300
    task = GenerationTask(kind="generation", label="x", vocabulary=100, length=256)
    vocabulary = learned(text)
    found, _ = features(vocabulary, [text], task=task)
    assert written(found["label_t"][0], vocabulary, task=task) == text


def test_a_word_of_the_text_is_copied_unless_it_is_a_piece():
    vocabulary = learned(*['play song(x="of")'] * 9, " Zoé Zoo")
    found, surfaces = features(
        vocabulary, ['play song(x="Zoé Zoo of") Zoé'], ["Zoé plays Zoo of Zoé"]
    )
    copied = targets_texts.copies(TASK)
    units = found["label_t"][0].tolist()
    assert [u - copied for u in units if u >= copied] == [0, LENGTH + 2, LENGTH + 3, LENGTH]
    assert written(units, vocabulary, surfaces.numpy()[0]) == 'play song(x="Zoé Zoo of") Zoé'
    as_there, otherwise = found["units_t"][0].reshape([2, LENGTH]).tolist()
    spaced, of = copied + LENGTH, vocabulary.index("of") + 2
    assert as_there == [copied, as_there[1], spaced + 2, spaced + 3, spaced] + [NO_UNIT] * 3
    assert otherwise == [spaced, otherwise[1], copied + 2, of, copied] + [NO_UNIT] * 3


def test_a_word_stands_in_the_source_with_the_space_that_is_there_first():
    source = source_of(tf.constant([" a-b", "a - b.c"]), TextSpec(length=4))
    assert source.words.to_list() == [[b"a", b"-", b"b"], [b"a", b"-", b"b", b"."]]
    assert source.spaced.to_list() == [[True, False, False], [False, True, True, False]]


def test_words_of_other_records_are_not_copied():
    vocabulary = learned("abcdefgh")[:8]
    found, _ = features(vocabulary, ["abc", "abc"], ["abc", "abd"])
    copied = targets_texts.copies(TASK)
    assert found["label_t"][:, :4].tolist() == [[copied, END, END, END], [2, 3, 4, END]]


def test_without_a_label_there_is_no_unit():
    found, _ = features(learned("ab"), [None, "ab", None])
    assert (found["label_t"][[0, 2]] == MISSING_LABEL).all()
    assert found["label_t.text"].tolist() == [b"", b"ab", b""]
    assert found["label_t.texts"].tolist() == [0, 1, 0]
    assert features(("a",), [None])[0]["label_t"].tolist() == [[MISSING_LABEL] * 12]


def test_a_text_that_is_too_long_is_cut_and_counted():
    found, _ = features(("a", "b"), ["ab" * 5, "ab" * 5 + "a", "ab" * 6, "ab" * 20, None])
    assert found["label_t.cut"].tolist() == [0, 0, 1, 1, 0]
    assert found["label_t"][3].tolist() == [2, 3] * 6
    np.testing.assert_array_equal(found["label_t"][0, -2:], [END, END])


def test_a_character_that_is_no_piece_is_unknown_alone():
    found, _ = features(("a", "b"), ["aéb"])
    assert found["label_t"][0, :4].tolist() == [2, UNKNOWN, 3, END]


@pytest.mark.parametrize("label", [3, True, ["a"], "", "  ", "a\x07", {}])
def test_a_label_that_is_no_text_is_refused(label):
    with pytest.raises(LabelError):
        classes.target_text(label)


def test_a_label_is_composed_and_its_white_space_single_spaces():
    assert classes.target_text(" Zoe\u0301 \t\n x ") == unicodedata.normalize("NFC", "Zoé x")
    assert classes.target_text(None) is None
