"""Augmentation: changed and unchanged values."""

import numpy as np
import tensorflow as tf

from tests import features
from triad_ml.model.towers import augmentation, registry

SEED = tf.constant([3, 4])


def batch(rows=16):
    return {n: tf.constant(v) for n, v in features.batch(features.layout(), rows).items()}


def test_the_same_seed_makes_the_same_changes_and_another_seed_others():
    given = batch()
    once, again, other = (
        registry.augment(given, tf.constant(seed)) for seed in ([1, 2], [1, 2], [1, 3])
    )
    for name in features.ALL:
        np.testing.assert_array_equal(once[name], again[name])
        assert (once[name].numpy() != other[name].numpy()).any()
        assert (once[name].numpy() != given[name].numpy()).any()


def test_shapes_types_and_presence_stay():
    given = batch()
    changed = registry.augment(given, SEED)
    assert {n: (v.dtype, v.shape) for n, v in changed.items()} == {
        n: (v.dtype, v.shape) for n, v in given.items()
    }
    for name in features.ALL:
        assert changed[f"{name}_present"].numpy().all()


def test_only_the_modalities_that_are_given_are_changed():
    given = {"text": tf.constant([[5, 6]], tf.int64), "text_present": tf.constant([True])}
    assert registry.augment(given, SEED).keys() == given.keys()


def test_each_picture_is_changed_in_its_own_way():
    picture = np.zeros((1, 16, 16, 3), np.uint8)
    picture[:, 4:12, 4:8] = 200
    changed = augmentation.vary_pictures(tf.constant(np.repeat(picture, 8, axis=0)), SEED).numpy()
    assert len({one.tobytes() for one in changed}) == 8


def test_about_half_of_the_pictures_are_mirrored():
    picture = np.zeros((1, 16, 16, 3), np.uint8)
    picture[:, :, :8] = 250
    changed = augmentation.vary_pictures(tf.constant(np.repeat(picture, 400, axis=0)), SEED)
    halves = changed.numpy().astype(float).mean(axis=(1, 3))
    bright_left = halves[:, 2:6].mean(axis=1) > halves[:, 10:14].mean(axis=1)
    assert 0.4 < bright_left.mean() < 0.6


def test_a_white_frame_stays_white_at_its_edges():
    white = tf.fill([32, 16, 16, 3], tf.constant(255, tf.uint8))
    changed = augmentation.vary_pictures(white, SEED).numpy().astype(int)
    assert np.ptp(changed, axis=(1, 2)).max() == 0


def test_a_hidden_part_of_a_sound_becomes_the_mean_and_the_rest_only_moves():
    log_mel = tf.constant(np.random.default_rng(0).normal(size=(32, 40, 8)).astype("f"))
    changed = augmentation.vary_sounds(log_mel, SEED).numpy()
    for before, after in zip(log_mel.numpy(), changed, strict=True):
        assert set(after[after != 0].tolist()) <= set(before.ravel().tolist())
    share = (changed == 0).mean()
    assert 0.1 < share < 0.5


def test_known_words_turn_unknown_and_padding_and_unknown_ones_stay():
    tokens = tf.constant(np.tile([0, 1, 2, 9], (500, 1)))
    changed = augmentation.hide_words(tokens, SEED).numpy()
    assert set(changed[:, 0]) == {0}
    assert set(changed[:, 1]) == {1}
    assert set(changed[:, 2]) == {1, 2}
    hidden = (changed[:, 2:] == 1).mean()
    assert abs(hidden - augmentation.HIDDEN_WORDS) < 0.03
