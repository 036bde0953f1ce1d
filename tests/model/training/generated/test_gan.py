"""Conditional GAN: what it learns, and that it is a function of seed and data."""

import shutil

import numpy as np
import pytest

from triad_ml.model.training.generated import gan, space
from triad_ml.transforms.errors import OptionsError

SHORT = gan.Settings(seed=3, steps=6, every=2)


def clusters(counts, seed=0):
    """Rows of classes at the corners of a triangle, with deviations of 1 and one half."""
    random = np.random.default_rng(seed)
    corners = np.array([[4.0, 0.0], [-4.0, 0.0], [0.0, 4.0]])
    ids = np.repeat(np.arange(len(counts)), counts)
    return corners[ids] + random.normal(size=(len(ids), 2)) * [1.0, 0.5], ids


def drawn(made, ids=(0, 1, 2, 2), seed=5):
    return made.draw(np.array(ids), np.random.default_rng(seed))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    rows, ids = clusters([20, 10, 5])
    folder = tmp_path_factory.mktemp("whole")
    return rows, ids, gan.fit(rows, ids, 3, SHORT, folder), folder


def test_a_training_that_was_interrupted_ends_as_one_that_was_not(whole, tmp_path):
    rows, ids, expected, folder = whole
    shutil.copytree(folder, tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut" / "epoch-00003")  # only the one after four steps is left
    for kept in (tmp_path / "cut", folder):
        found = gan.fit(rows, ids, 3, SHORT, kept)
        np.testing.assert_array_equal(drawn(found), drawn(expected))
        for one, other in zip(found.state, expected.state, strict=True):
            for variable, value in zip(one, other, strict=True):
                np.testing.assert_array_equal(variable.numpy(), value.numpy())


def test_other_data_and_another_seed_are_refused(whole):
    rows, ids, _, folder = whole
    for values, settings in ((rows + 1, SHORT), (rows, SHORT._replace(seed=4))):
        with pytest.raises(OptionsError, match="another spec or other data"):
            gan.fit(values, ids, 3, settings, folder)


def test_another_seed_has_other_weights():
    one, two = (gan.Gan(2, np.zeros((3, 2)), seed, steps=1) for seed in (3, 4))
    assert (drawn(one) != drawn(two)).any()


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Rows of six classes, the last rare, whose 16 coordinates each class mixes in its own way."""
    counts, size = [200, 150, 100, 60, 30, 8], 16
    random = np.random.default_rng(0)
    means = random.normal(size=(len(counts), size))
    ids = np.repeat(np.arange(len(counts)), counts)
    rows = random.normal(size=(len(ids), size)) * np.geomspace(1.0, 0.15, size)
    for one in range(len(counts)):
        turn, _ = np.linalg.qr(random.normal(size=(size, size)))
        rows[ids == one] = means[one] + rows[ids == one] @ turn.T
    coordinates = space.space_of(rows.astype(np.float32)).inward(rows)
    settings = gan.Settings(seed=0, steps=500, every=500)
    made = gan.fit(coordinates, ids, len(counts), settings, tmp_path_factory.mktemp("planted"))
    return coordinates, ids, {one: drawn(made, [one] * 1000) for one in range(len(counts))}


def test_each_class_gets_its_own_mean_and_covariance(planted):
    rows, ids, made = planted
    means = np.stack([rows[ids == one].mean(axis=0) for one in made])
    covariances = [np.cov(rows[ids == one].T) for one in range(5)]
    shares = []
    for one, expected in enumerate(covariances):
        found, deviation = np.cov(made[one].T), np.sqrt(np.trace(expected))
        assert np.linalg.norm(made[one].mean(axis=0) - means[one]) < 0.25 * deviation
        assert 0.75 < np.trace(found) / np.trace(expected) < 1.25
        errors = [np.linalg.norm(found - other) for other in covariances]
        assert np.argmin(errors) == one
        shares.append(errors[one] / np.linalg.norm(expected))
    assert max(shares) < 0.65
    assert np.mean(shares) < 0.5


def test_a_rare_class_gets_the_size_of_the_others_around_its_own_mean(planted):
    rows, ids, made = planted
    own = rows[ids == 5]
    deviation = np.sqrt(np.trace(np.cov(own.T)))
    assert np.linalg.norm(made[5].mean(axis=0) - own.mean(axis=0)) < 0.25 * deviation
    assert 0.5 < np.trace(np.cov(made[5].T)) / np.trace(np.cov(own.T)) < 1.4


def test_generated_vectors_are_as_far_from_training_vectors_as_these_from_each_other(planted):
    rows, ids, made = planted
    for one, found in made.items():
        own = rows[ids == one]
        least = 0.75 if len(own) > 8 else 0.45
        assert least < space.nearness(found, own) < 1.2
        assert space.copies(found, own).mean() < 0.01
