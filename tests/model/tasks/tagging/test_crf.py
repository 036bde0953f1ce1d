"""CRF, compared with an enumeration of all sequences of tags."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from triad_ml.model.tasks.tagging import crf
from triad_ml.model.tasks.tagging.bio import allowed, num_tags

CLASSES, LENGTH = 2, 4
TAGS = num_tags(CLASSES)
NAMES = ("O", "B-0", "I-0", "B-1", "I-1")


def potentials(lengths: list[int], seed: int, spread: float = 1.5) -> crf.Potentials:
    random = np.random.default_rng(seed)
    emissions = random.normal(0, spread, (len(lengths), LENGTH, TAGS)).astype(np.float32)
    transitions = random.normal(0, 1, (TAGS, TAGS)).astype(np.float32)
    words = np.arange(LENGTH)[None] < np.array(lengths)[:, None]
    return crf.Potentials(tf.constant(emissions), tf.constant(transitions), tf.constant(words))


def is_valid(tags: tuple[int, ...]) -> bool:
    """BIO by its names: an I follows a B or an I of its class."""
    names = ["O", *(NAMES[tag] for tag in tags)]
    return all(
        not after.startswith("I") or before in (after, after.replace("I", "B"))
        for before, after in itertools.pairwise(names)
    )


def spans_of(tags: tuple[int, ...]) -> set[tuple[int, int, int]]:
    """First word, last word and class of each span of a valid sequence."""
    found = []
    for place, tag in enumerate(tags):
        if tag % 2:
            found.append([place, place, (tag - 1) // 2])
        elif tag:
            found[-1][1] = place
    return {(first, last, name) for first, last, name in found}


def all_scores(given: crf.Potentials, row: int, length: int) -> dict[tuple[int, ...], float]:
    """The score of each valid sequence of a row."""
    emissions, transitions = given.emissions.numpy()[row], given.transitions.numpy()
    return {
        tags: float(
            sum(emissions[place, tag] for place, tag in enumerate(tags))
            + sum(transitions[pair] for pair in itertools.pairwise(tags))
        )
        for tags in itertools.product(range(TAGS), repeat=length)
        if is_valid(tags)
    }


LENGTHS = [4, 3, 2, 1, 4, 4]


@pytest.mark.parametrize("seed", range(5))
def test_the_best_tags_are_the_best_of_all_valid_sequences(seed):
    given = potentials(LENGTHS, seed)
    decoded = crf.decode(given)
    for row, length in enumerate(LENGTHS):
        scores = all_scores(given, row, length)
        best = max(scores, key=lambda tags: scores[tags])
        assert tuple(decoded.tags.numpy()[row]) == (*best, *[0] * (LENGTH - length))
        total = sum(math.exp(score) for score in scores.values())
        assert decoded.scores.numpy()[row] == pytest.approx(
            math.exp(scores[best]) / total, rel=1e-4
        )


@pytest.mark.parametrize("seed", range(5))
def test_a_span_has_the_share_of_all_sequences_that_hold_it(seed):
    given = potentials(LENGTHS, seed)
    decoded = crf.decode(given)
    found = 0
    for row, length in enumerate(LENGTHS):
        scores = all_scores(given, row, length)
        total = sum(math.exp(score) for score in scores.values())
        tags = decoded.tags.numpy()[row]
        begins = {place for place in range(LENGTH) if decoded.spans.numpy()[row, place]}
        assert begins == {first for first, _, _ in spans_of(tuple(tags[:length]))}
        for first, last, name in spans_of(tuple(tags[:length])):
            assert decoded.ends.numpy()[row, first] == last
            share = sum(
                math.exp(s) for t, s in scores.items() if (first, last, name) in spans_of(t)
            )
            assert decoded.span_scores.numpy()[row, first] == pytest.approx(share / total, rel=1e-4)
            found += 1
    assert found > 3


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_is_that_of_all_valid_sequences(seed):
    given = potentials(LENGTHS, seed)
    truths = [(1, 2, 0, 3), (0, 3, 4), (3, 1), (0,), (1, 1, 2, 2), (0, 0, 0, 0)]
    tags = np.full((len(LENGTHS), LENGTH), -1)
    for row, truth in enumerate(truths):
        tags[row, : len(truth)] = truth
    found, known = crf.losses(tf.constant(tags, tf.int64), given)
    assert known.numpy().all()
    for row, truth in enumerate(truths):
        scores = all_scores(given, row, len(truth))
        total = math.log(sum(math.exp(score) for score in scores.values()))
        assert found.numpy()[row] == pytest.approx((total - scores[truth]) / len(truth), rel=1e-4)


def test_which_tags_may_follow_which():
    may = allowed(TAGS)
    pairs = {(a, b) for a in range(TAGS) for b in range(TAGS) if may[a, b]}
    assert pairs == {
        (a, b)
        for a in range(TAGS)
        for b in range(TAGS)
        if not NAMES[b].startswith("I") or NAMES[a][1:] == NAMES[b][1:]
    }


def test_emissions_that_scream_for_an_invalid_sequence_give_a_valid_one():
    emissions = np.zeros((1, LENGTH, TAGS), np.float32)
    emissions[0, :, 2] = 500.0
    emissions[0, 1, 4] = 1000.0
    words = tf.ones((1, LENGTH), tf.bool)
    decoded = crf.decode(crf.Potentials(tf.constant(emissions), tf.zeros((TAGS, TAGS)), words))
    assert is_valid(tuple(decoded.tags.numpy()[0]))
    assert np.isfinite(decoded.span_scores.numpy()).all()
    assert 0 <= decoded.scores.numpy()[0] <= 1


def test_a_record_without_label_or_of_unknown_classes_has_no_loss_and_no_gradient():
    given = potentials([4, 3, 4], 0)
    emissions = tf.where(tf.constant([True, True, False])[:, None, None], given.emissions, np.nan)
    tags = tf.constant([[-1] * 4, [0, 1, TAGS, -1], [-1] * 4], tf.int64)
    with tf.GradientTape() as tape:
        tape.watch([emissions, given.transitions])
        found, known = crf.losses(tags, given._replace(emissions=emissions))
        loss = tf.reduce_sum(found)
    assert not known.numpy().any()
    assert found.numpy().tolist() == [0.0, 0.0, 0.0]
    for gradient in tape.gradient(loss, [emissions, given.transitions]):
        assert not gradient.numpy().any()


def test_a_text_of_one_word_at_most_and_one_of_none_are_decoded():
    emissions = tf.constant([[[0.0, 2.0, 9.0]], [[0.0, 2.0, 9.0]]])
    words = tf.constant([[True], [False]])
    decoded = crf.decode(crf.Potentials(emissions, tf.zeros((3, 3)), words))
    assert decoded.tags.numpy().tolist() == [[1], [0]]
    assert decoded.spans.numpy().tolist() == [[True], [False]]
    share = math.exp(2) / (1 + math.exp(2))
    assert decoded.span_scores.numpy().tolist() == [[pytest.approx(share)], [0.0]]
    assert decoded.scores.numpy().tolist() == [pytest.approx(share), 1.0]


def test_transitions_travel_behind_the_emissions():
    layer = crf.Transitions()
    emissions = tf.constant(np.random.default_rng(0).normal(size=(2, LENGTH, TAGS)), tf.float32)
    layer.build(emissions.shape)
    layer.weights_of_pairs.assign(np.arange(TAGS * TAGS).reshape(TAGS, TAGS))
    words = tf.ones((2, LENGTH), tf.bool)
    given = crf.unpack(layer(emissions), words)
    np.testing.assert_array_equal(given.emissions.numpy(), emissions.numpy())
    np.testing.assert_array_equal(given.transitions.numpy(), layer.weights_of_pairs.numpy())
    assert tuple(layer.compute_output_shape((None, LENGTH, TAGS))) == (None, LENGTH + TAGS, TAGS)
