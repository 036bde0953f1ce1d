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


def test_a_training_that_was_interrupted_ends_as_one_that_was_not(tmp_path):
    rows, ids = clusters([20, 10, 5])
    whole = gan.fit(rows, ids, 3, SHORT, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut" / "epoch-00003")  # only the one after four steps is left
    resumed = gan.fit(rows, ids, 3, SHORT, tmp_path / "cut")
    np.testing.assert_array_equal(drawn(resumed), drawn(whole))
    again = gan.fit(rows, ids, 3, SHORT, tmp_path / "whole")
    np.testing.assert_array_equal(drawn(again), drawn(whole))
    for one, other in zip(resumed.state, whole.state, strict=True):
        for variable, expected in zip(one, other, strict=True):
            np.testing.assert_array_equal(variable.numpy(), expected.numpy())


def test_another_seed_is_another_gan_and_other_data_are_refused(tmp_path):
    rows, ids = clusters([20, 10, 5])
    one = gan.fit(rows, ids, 3, SHORT, tmp_path / "one")
    two = gan.fit(rows, ids, 3, SHORT._replace(seed=4), tmp_path / "two")
    assert (drawn(one) != drawn(two)).any()
    with pytest.raises(OptionsError, match="another spec or other data"):
        gan.fit(rows + 1, ids, 3, SHORT, tmp_path / "one")


def test_a_rare_class_gets_the_shape_of_the_others_around_its_own_mean(tmp_path):
    rows, ids = clusters([200, 200, 8])
    made = gan.fit(rows, ids, 3, gan.Settings(seed=0, steps=500, every=500), tmp_path)
    found = drawn(made, [2] * 400)
    own = rows[ids == 2]
    np.testing.assert_allclose(found.mean(axis=0), own.mean(axis=0), atol=0.6)
    deviation = found.std(axis=0)
    assert 0.4 < deviation[0] < 1.6
    assert 0.2 < deviation[1] < 0.9
    assert space.copies(found, own).mean() < 0.3
