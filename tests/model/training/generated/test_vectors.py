"""Generated vectors of rare classes: their number, and the control with noise."""

import logging

import numpy as np
import pytest

from triad_ml.model.training.generated import space, vectors


def classes(counts, width=6, seed=0):
    random = np.random.default_rng(seed)
    ids = np.repeat(np.arange(len(counts)), counts)
    rows = (
        random.normal(size=(len(ids), width)) * [3, 2, 1, 1, 0.5, 0.1][:width] + 10 * ids[:, None]
    )
    return rows.astype(np.float32), ids


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([30, 20, 10], [0, 0, 10]),  # up to the mean
        ([100, 0, 4], [0, 0, 20]),  # at most five times its own; a class without records is none
        ([100, 3], [0, 0]),  # too few to know how they differ
        ([7, 7], [0, 0]),
        ([0, 0], [0, 0]),
    ],
)
def test_rare_classes_are_filled_up_to_the_mean(counts, expected):
    assert vectors.wanted(np.array(counts)).tolist() == expected


def test_noise_has_the_deviation_of_the_class(tmp_path):
    rows, ids = classes([400, 100])
    source = vectors.with_noise(rows, ids, 2, 0, tmp_path)
    made = source.draw(np.ones(4000, np.int64), np.random.default_rng(0))
    own = rows[ids == 1]
    error = own.std(axis=0) / 20
    np.testing.assert_allclose((made.mean(axis=0) - own.mean(axis=0)) / error, 0, atol=3)
    np.testing.assert_allclose(made.std(axis=0), own.std(axis=0) * 2**0.5, rtol=0.1)


def test_generated_vectors_are_a_function_of_seed_and_data(tmp_path):
    rows, ids = classes([60, 40, 10])
    first, again, other = (
        vectors.generated("noise", rows, ids, 3, seed, tmp_path) for seed in (0, 0, 1)
    )
    assert first.ids.tolist() == [2] * 27
    np.testing.assert_array_equal(first.vectors, again.vectors)
    assert (first.vectors != other.vectors).any()


def test_no_generated_vector_is_a_copy(caplog):
    rows, ids = classes([60, 10])
    own, points = np.flatnonzero(ids == 1), rows.astype(np.float64)

    def draw(asked, random):
        """Copies training vectors in three of four cases."""
        made = points[random.choice(own, len(asked))]
        apart = random.random((len(asked), 1)) < 0.25
        return made + 5 * apart * random.normal(size=made.shape)

    source = vectors.Source(points, draw, lambda made, random: made.astype(np.float32))
    with caplog.at_level(logging.WARNING):
        found = vectors.filled_up(source, ids, 2, 0)
    assert 0 < len(found.ids) < 25
    assert found.copies > 25
    assert not space.copies(found.vectors.astype(np.float64), points[own]).any()
    (line,) = caplog.messages
    assert line.startswith(f"class 1 gets {len(found.ids)} generated vectors, not 25: ")


def test_the_noise_of_long_vectors_is_no_copy(tmp_path):
    rows = np.random.default_rng(0).normal(size=(30, 1280)).astype(np.float32)
    found = vectors.generated("noise", rows, np.repeat([0, 1], [22, 8]), 2, 0, tmp_path)
    assert (len(found.ids), found.copies) == (7, 0)


def test_balanced_classes_get_no_vectors(tmp_path):
    rows, ids = classes([10, 10])
    found = vectors.generated("gan", rows, ids, 2, 0, tmp_path)
    assert found.vectors.shape == (0, 6)
    assert not list(tmp_path.iterdir())
