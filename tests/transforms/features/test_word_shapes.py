"""Hashed prefixes, suffixes and shapes of words."""

import re

import pytest
import tensorflow as tf

from triad_ml.transforms.features import word_shapes
from triad_ml.transforms.features.words import words_graph

BUCKETS = 2**40  # so many that no two parts of these words share a number


def numbers(texts, length=4, buckets=BUCKETS):
    words = words_graph(tf.constant([text.encode() for text in texts]))[0]
    return word_shapes.spelling_graph(words, length, buckets).numpy()


def plain_parts(word):
    """What the numbers stand for, by Python alone."""
    shape = word
    for pattern, kind in ((str.isupper, "X"), (str.islower, "x"), (str.isdigit, "9")):
        shape = "".join(kind if pattern(one) else one for one in shape)
    for run, kept in ((r"x{3,}", "xx"), (r"X{3,}", "XX"), (r"9{5,}", "99999")):
        shape = re.sub(run, kept, shape)
    found = [f"shape {shape}"]
    for count in word_shapes.AFFIXES:
        found += [f"{count} {word.lower()[:count]}", f"{word.lower()[-count:]} {count}"]
    return found


@pytest.mark.parametrize(
    "word", ["Rome", "a", "NASA", "iPhone", "2026", "123456", "Ünïted", "été", "_x9", "!", "Я"]
)
def test_a_words_numbers_are_those_of_its_parts(word):
    hashed = tf.strings.to_hash_bucket_fast(plain_parts(word), BUCKETS) + 1
    assert numbers([word])[0, 0].tolist() == hashed.numpy().tolist()


def test_case_changes_the_shape_alone():
    small, large = numbers(["rome ROME"])[0, :2]
    assert small[0] != large[0]
    assert small[1:].tolist() == large[1:].tolist()


def test_words_that_begin_or_end_alike_share_just_that():
    walked, talked = numbers(["walked talked"])[0, :2]
    same = [
        name for name, a, b in zip(plain_parts("walked"), walked, talked, strict=True) if a == b
    ]
    assert same == ["shape xx", "d 1", "ed 2", "ked 3", "lked 4"]


def test_there_are_zeros_where_no_word_is_and_what_is_too_long_is_cut():
    found = numbers(["one two three", "", "four", "\n"], length=2)
    assert found.shape == (4, 2, word_shapes.PARTS)
    assert (found > 0).all(axis=2).tolist() == [
        [True, True],
        [False] * 2,
        [True, False],
        [False] * 2,
    ]
    assert (found > 0).any(axis=2).tolist() == (found > 0).all(axis=2).tolist()


def test_a_batch_without_any_word_is_zeros():
    assert numbers(["", " "]).shape == (2, 4, word_shapes.PARTS)
    assert not numbers(["", " "]).any()


def test_numbers_are_from_one_to_the_number_of_buckets():
    found = numbers([" ".join(f"word{place}" for place in range(200))], length=200, buckets=16)
    assert set(found.ravel().tolist()) == set(range(1, 17))
