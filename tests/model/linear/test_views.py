"""Views of modalities against plain NumPy."""

import numpy as np
import tensorflow as tf

from triad_ml.model.linear import views
from triad_ml.transforms.features.grams import BUCKETS

RANDOM = np.random.default_rng(5)


def test_colours_are_those_of_quarters():
    pixels = np.zeros((1, 16, 16, 3), np.uint8)
    pixels[0, :8, :8] = [255, 0, 0]
    pixels[0, 8:, 8:] = [0, 255, 130]
    found = views.colours_and_gradients(tf.constant(pixels)).numpy()[0]
    quarters = found[: 4 * views.COLOURS**3].reshape(4, -1)
    red, black, cyan = 3 * 16, 0, 3 * 4 + 2
    assert [int(quarter.argmax()) for quarter in quarters] == [red, black, black, cyan]
    np.testing.assert_allclose(quarters.max(axis=1), 1.0)


def test_gradients_have_the_direction_of_edges():
    across = np.broadcast_to(np.arange(0, 160, 10, dtype=np.uint8), (16, 16))
    pixels = np.stack([across, across.T])[..., np.newaxis].repeat(3, axis=3)
    found = views.colours_and_gradients(tf.constant(pixels)).numpy()[:, 4 * views.COLOURS**3 :]
    cells = found.reshape(2, views.CELLS, views.CELLS, views.ORIENTATIONS)
    assert set(cells[0].argmax(axis=2).ravel()) == {0}
    assert set(cells[1].argmax(axis=2).ravel()) == {views.ORIENTATIONS // 2}
    np.testing.assert_allclose(np.linalg.norm(cells, axis=3), 1.0, rtol=1e-5)


def test_a_large_image_is_described_as_its_reduction():
    small = RANDOM.integers(0, 256, (1, views.SIDE, views.SIDE, 3), np.uint8)
    large = small.repeat(3, axis=1).repeat(3, axis=2)
    found = views.colours_and_gradients(tf.constant(large)).numpy()
    np.testing.assert_allclose(
        found, views.colours_and_gradients(tf.constant(small)).numpy(), atol=1e-3
    )


def test_an_image_of_one_colour_has_no_gradient():
    pixels = np.full((1, 10, 10, 3), 77, np.uint8)
    found = views.colours_and_gradients(tf.constant(pixels)).numpy()[0]
    assert (found[4 * views.COLOURS**3 :] == 0).all()


def test_ngrams_are_counted_by_bucket():
    numbers = np.array([[3, 3, BUCKETS, 0], [0, 0, 0, 0]])
    found = views.counts(numbers)
    assert found.shape == (2, BUCKETS)
    assert found.nnz == 2
    assert (found[0, 2], found[0, BUCKETS - 1]) == (2.0, 1.0)
