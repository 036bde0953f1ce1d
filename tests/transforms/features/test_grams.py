"""N-grams of texts against plain Python."""

import numpy as np
import pytest
import tensorflow as tf

from triad_ml.transforms.features.grams import BUCKETS, grams_graph, grams_length
from triad_ml.transforms.spec.modalities import TextSpec

SPEC = TextSpec(length=4)


def numbers(grams: list[str]) -> list[int]:
    return [int(tf.strings.to_hash_bucket_fast(gram, BUCKETS)) + 1 for gram in grams]


def test_ngrams_are_those_of_plain_python():
    padded = " ab c! "
    characters = [padded[i : i + size] for size in (2, 3, 4) for i in range(len(padded) - size + 1)]
    words = ["ab", "c", "!", "ab c", "c !"]
    expected = numbers([*(f"word {word}" for word in words), *characters])
    (found,) = grams_graph(tf.constant(["Ab \t C!"]), SPEC).numpy().tolist()
    assert len(found) == grams_length(SPEC) == 80
    assert sorted(found[: len(expected)]) == sorted(expected)
    assert found[:5] == expected[:5]  # words come first
    assert set(found[len(expected) :]) == {0}


@pytest.mark.parametrize("text", ["", "É", "家猫", "👩‍👩‍👧", "a" * 500])
def test_a_row_does_not_depend_on_its_neighbours(text):
    alone = grams_graph(tf.constant([text]), SPEC).numpy()
    beside = grams_graph(tf.constant(["word another", text, ""]), SPEC).numpy()
    np.testing.assert_array_equal(beside[1:2], alone)
    assert (beside[2] == 0).all()
    assert bool(alone.any()) == bool(text)


def test_more_ngrams_than_are_kept_are_cut_at_the_end():
    short, long = grams_graph(tf.constant(["a b c d", "a b c d" + " e" * 100]), SPEC).numpy()
    assert (long > 0).all()
    assert short[:4].tolist() == long[:4].tolist()


def test_words_behind_the_first_hundred_characters_for_each_token_are_not_read():
    begins = "ab" + " " * 396
    read, behind, alone = grams_graph(
        tf.constant([begins + "c", begins + "  c", "ab "]), SPEC
    ).numpy()
    assert behind.tolist() == alone.tolist()
    assert numbers(["word c"])[0] in read
    assert numbers(["word c"])[0] not in behind


def test_case_and_kinds_of_white_space_do_not_count():
    one, other = grams_graph(tf.constant(["Ein Haus", "ein\u00a0\n haus"]), SPEC).numpy()
    assert one.tolist() == other.tolist()
