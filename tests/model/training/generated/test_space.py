"""Whitened coordinates of vectors, and the test for copies."""

import numpy as np
import pytest

from triad_ml.model.training.generated import space


def flat(rows, rank=3, width=20, seed=0):
    """Vectors in a plane of a few dimensions, away from the origin."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(rows, rank)) @ (random.normal(size=(rank, width)) * 5) + 7
    return vectors.astype(np.float32)


def test_coordinates_are_white_and_few_and_lead_back():
    vectors = flat(200)
    found = space.space_of(vectors)
    inside = found.inward(vectors)
    assert inside.shape == (200, 3)
    np.testing.assert_allclose(inside.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(inside.T @ inside / 200, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(found.outward(inside), vectors, rtol=1e-4, atol=1e-3)


def test_no_more_coordinates_are_kept_than_there_may_be():
    vectors = np.random.default_rng(0).normal(size=(100, 50)).astype(np.float32)
    assert space.space_of(vectors).inward(vectors).shape == (100, space.COORDINATES)


def test_what_the_coordinates_leave_out_is_drawn():
    random = np.random.default_rng(0)
    vectors = (random.normal(size=(400, 60)) * np.linspace(3, 0.1, 60)).astype(np.float32)
    found = space.space_of(vectors)
    inside = found.inward(vectors)
    made = found.outward(inside, np.random.default_rng(1))
    np.testing.assert_allclose(found.inward(made), inside, atol=1e-4)
    np.testing.assert_allclose(made.var(axis=0).sum(), vectors.var(axis=0).sum(), rtol=0.1)
    assert found.outward(inside).var(axis=0).sum() < 0.97 * vectors.var(axis=0).sum()


@pytest.mark.parametrize("rows", [1, 5])
def test_equal_vectors_have_finite_coordinates(rows):
    vectors = np.full((rows, 4), 3, np.float32)
    found = space.space_of(vectors)
    assert not found.inward(vectors).any()
    np.testing.assert_array_equal(found.outward(found.inward(vectors)), vectors)


def test_copies_are_found_and_other_vectors_of_the_class_are_not():
    random = np.random.default_rng(0)
    training, others = random.normal(size=(40, 8)), random.normal(size=(500, 8))
    nearly = training + 0.01 * random.normal(size=training.shape)
    assert space.copies(training, training).all()
    assert space.copies(nearly, training).all()
    assert space.copies(others, training).mean() < 0.01
    assert space.nearness(training, training) == pytest.approx(0, abs=1e-6)
    assert space.nearness(others, training) == pytest.approx(1, abs=0.2)


def test_the_test_for_copies_follows_the_scale_of_a_class():
    random = np.random.default_rng(0)
    training, others = random.normal(size=(40, 8)), random.normal(size=(100, 8))
    for scale in (1e-3, 1e3):
        np.testing.assert_array_equal(
            space.copies(others * scale, training * scale), space.copies(others, training)
        )
