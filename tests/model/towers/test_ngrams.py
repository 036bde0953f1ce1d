"""Hashed n-grams: independence of position, and zeros for texts of at most one token."""

import keras
import numpy as np
import pytest

from tests import features
from triad_ml.model import network
from triad_ml.model.towers.texts import ngrams


@pytest.fixture
def layer() -> ngrams.HashedNgrams:
    keras.utils.set_random_seed(0)
    layer = ngrams.HashedNgrams(buckets=64, dim=3)
    layer.build((None, 6), (None, 6))
    layer.vectors.assign(np.random.default_rng(0).normal(size=(64, 3)))
    return layer


def sums(layer: ngrams.HashedNgrams, *rows: list[int]) -> np.ndarray:
    ids = np.array(rows)
    return np.asarray(layer(ids, ids > 0))


def test_a_text_is_the_sum_of_its_sequences_over_the_root_of_their_number(
    layer: ngrams.HashedNgrams,
) -> None:
    pair, other, whole = sums(layer, [2, 3, 0, 0, 0, 0], [3, 4, 0, 0, 0, 0], [2, 3, 4, 0, 0, 0])
    three = whole * 3**0.5 - pair - other  # pairs, and one sequence of three
    vectors = layer.vectors.numpy()
    distances = np.abs(vectors - three).max(axis=1)
    assert distances.min() < 1e-5
    assert np.abs(vectors - pair).max(axis=1).min() < 1e-6


def test_where_a_sequence_stands_does_not_matter_and_its_order_does(
    layer: ngrams.HashedNgrams,
) -> None:
    here, there, turned = sums(layer, [2, 3, 0, 0, 0, 0], [0, 0, 2, 3, 0, 0], [3, 2, 0, 0, 0, 0])
    np.testing.assert_allclose(here, there)
    assert (here != turned).any()


def test_a_text_of_one_token_or_none_is_zero(layer: ngrams.HashedNgrams) -> None:
    assert not sums(layer, [0] * 6, [5, 0, 0, 0, 0, 0]).any()


def test_sequences_are_spread_over_all_buckets() -> None:
    ids = np.random.default_rng(0).integers(2, 60, (500, 20))
    for size in ngrams.SIZES:
        found = np.asarray(ngrams._buckets(ids, size, 256))
        assert found.min() >= 0
        counts = np.bincount(found.ravel(), minlength=256)
        assert len(counts) == 256
        assert 0 < counts.min()
        assert counts.max() < 3 * counts.mean()


def test_the_network_has_the_sequences_of_its_texts() -> None:
    layout = features.layout(["image", "text"], model={"text_ngrams": 128})
    networks = network.build_networks(layout)
    assert networks.scoring.get_layer("text_ngrams").vectors.shape == (128, 16)
    one = features.batch(layout, 2)
    before = networks.scoring(one)["category"].numpy()
    one["text_present"][1] = False
    one["text"][1] = 7
    other = networks.scoring(one)["category"].numpy()
    np.testing.assert_array_equal(before[0], other[0])
    assert (before[1] != other[1]).any()
