"""Audio towers: their statistics against plain NumPy, masks, and rows on their own."""

import typing

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import features
from triad_ml.model import network as model_network
from triad_ml.model.towers import statistics
from triad_ml.model.towers.audio import AUDIO_TOWERS
from triad_ml.transforms.spec.model import AudioTower

RANDOM = np.random.default_rng(5)


def test_pooled_audio_is_that_of_plain_computation():
    frames = RANDOM.normal(size=(3, 12, 4)).astype(np.float32)
    frames[1, 7:] = 0.0  # shorter
    frames[2] = 0.0  # missing
    found = statistics.pooled(tf.constant(frames)).numpy()
    for row, count in ((0, 12), (1, 7)):
        known = frames[row, :count]
        ordered = np.sort(known, axis=0)
        expected = [
            known.mean(axis=0),
            known.std(axis=0),
            ordered[round(0.1 * (count - 1))],
            ordered[round(0.9 * (count - 1))],
            np.abs(np.diff(known, axis=0)).mean(axis=0),
        ]
        np.testing.assert_allclose(found[row], np.concatenate(expected), rtol=1e-5, atol=1e-6)
    assert (found[2] == 0).all()


def test_one_frame_has_no_change():
    frames = np.zeros((1, 5, 2), np.float32)
    frames[0, 0] = [1.0, -2.0]
    expected = [1, -2, 0, 0, 1, -2, 1, -2, 0, 0]
    np.testing.assert_allclose(
        statistics.pooled(tf.constant(frames)).numpy(), [expected], atol=1e-6
    )


def test_statistics_are_z_scored_by_the_rows_that_are_present():
    frames = RANDOM.normal(3.0, 2.0, size=(64, 12, 4)).astype(np.float32)
    present = np.arange(64) % 4 > 0
    layer = statistics.Statistics(momentum=0.0)
    found = layer(frames, tf.constant(present), training=True).numpy()
    np.testing.assert_allclose(found[present].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found[present].std(axis=0), 1, atol=1e-3)
    assert (found[~present] == 0).all()
    served = layer(frames, tf.constant(present)).numpy()
    np.testing.assert_allclose(served, found, atol=1e-4)  # the moments are those of this batch


@pytest.mark.parametrize("rows", [0, 1])
def test_rows_without_a_variance_are_scaled_by_the_moving_moments_and_do_not_change_them(rows):
    frames = RANDOM.normal(3.0, 2.0, size=(8, 12, 4)).astype(np.float32)
    layer = statistics.Statistics()
    layer(frames, tf.ones(8, tf.bool), training=True)
    before = [weight.numpy() for weight in layer.weights]
    present = tf.range(8) < rows
    found = layer(frames, present, training=True).numpy()
    for weight, value in zip(layer.weights, before, strict=True):
        np.testing.assert_allclose(weight, value, rtol=1e-6)
    np.testing.assert_allclose(found, layer(frames, present), atol=1e-5)


@pytest.fixture(scope="module", params=AUDIO_TOWERS)
def tower(request):
    """A network with each kind, as one TensorFlow function over one shape, as it is served."""
    keras.utils.set_random_seed(0)
    layout = features.layout(["audio"], model={"audio_tower": request.param})
    network = model_network.build(layout)
    return layout, network, tf.function(lambda batch: network(batch, training=False))


def batch_of(layout, seed=0):
    batch = {name: tf.constant(value) for name, value in features.batch(layout, 48, seed).items()}
    return batch | {"audio_present": tf.constant(np.arange(48) % 3 > 0)}


def test_the_registry_has_what_a_spec_can_name():
    assert tuple(AUDIO_TOWERS) == typing.get_args(AudioTower)


def test_a_tower_has_the_parts_that_its_name_says(tower):
    layout, network, _ = tower
    names = {layer.name for layer in network.layers}
    found = ("audio_0" in names, "audio_statistics" in names)
    assert found == AUDIO_TOWERS[layout.spec.model.audio_tower]


def test_a_row_depends_on_nothing_but_itself_to_the_last_bit(tower):
    layout, _, call = tower
    batch = batch_of(layout)
    expected = call(batch)["category"]
    order = np.random.default_rng(2).permutation(48)
    moved = call({name: tf.gather(values, order) for name, values in batch.items()})["category"]
    np.testing.assert_array_equal(moved, expected.numpy()[order])


def test_what_missing_audio_holds_does_not_change_a_bit(tower):
    layout, _, call = tower
    batch = batch_of(layout) | {"audio_present": tf.zeros(48, tf.bool)}
    other = batch | {"audio": tf.fill(batch["audio"].shape, np.nan)}
    np.testing.assert_array_equal(call(batch)["category"], call(other)["category"])


def test_two_sounds_of_equal_statistics_differ_only_by_convolutions(tower):
    """A sound that runs backwards has the statistics of the sound."""
    layout, _, call = tower
    frames = RANDOM.normal(size=batch_of(layout)["audio"].shape).astype(np.float32)
    batch = batch_of(layout) | {"audio": tf.constant(frames)}
    reversed_time = batch | {"audio": tf.reverse(batch["audio"], [1])}
    found, other = call(batch)["category"].numpy(), call(reversed_time)["category"].numpy()
    heard = batch["audio_present"].numpy()
    assert (
        np.allclose(found[heard], other[heard], atol=1e-4)
        != AUDIO_TOWERS[layout.spec.model.audio_tower].maps
    )
