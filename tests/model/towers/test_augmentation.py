"""Augmentation: changed and unchanged values."""

import numpy as np
import pytest
import tensorflow as tf

from tests import features
from triad_ml.model.towers import augmentation, registry
from triad_ml.transforms.spec.training import USUAL

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


def in_turn(seed, rows):
    """Draws numbered by their order: the rule before changes had names."""
    count = 0

    def draw(low, high, width=1):
        nonlocal count
        count += 1
        own = tf.random.experimental.stateless_fold_in(seed, count)
        return tf.random.stateless_uniform([rows, width], own, low, high)

    return draw


def all_of_pictures(pixels, seed):
    rows, size = pixels.shape[:2]
    draw = in_turn(seed, rows)
    half = 0.5 * (1.0 + draw(-0.1, 0.1))
    centre = 0.5 + draw(-0.1, 0.1, 2)
    boxes = tf.concat([centre - half, centre + half], axis=1)
    mirrored = tf.gather(boxes, [0, 3, 2, 1], axis=1)
    boxes = tf.where(draw(0.0, 1.0) < 0.5, mirrored, boxes)
    moved = tf.image.crop_and_resize(
        pixels, boxes, tf.range(rows), [size, size], extrapolation_value=255.0
    )
    gain = (1.0 + draw(-0.2, 0.2)) * (1.0 + draw(-0.08, 0.08, 3))
    offset = 255.0 * draw(-0.15, 0.15)
    coloured = moved * gain[:, tf.newaxis, tf.newaxis] + offset[:, tf.newaxis, tf.newaxis]
    return tf.cast(tf.clip_by_value(tf.round(coloured), 0.0, 255.0), tf.uint8)


def all_of_sounds(frames, seed):
    rows, number, width = frames.shape
    draw = in_turn(seed, rows)
    late = tf.cast(tf.round(draw(-0.1, 0.1) * number), tf.int32)
    sources = tf.range(number)[tf.newaxis] - late
    moved = tf.gather(frames, tf.math.floormod(sources, number), batch_dims=1)
    heard = (sources >= 0) & (sources < number)
    for _ in range(2):
        heard &= ~span(number, draw(0.0, 0.15), draw(0.0, 1.0))
    band = ~span(width, draw(0.0, 0.2), draw(0.0, 1.0))
    return tf.where(heard[:, :, tf.newaxis] & band[:, tf.newaxis], moved, 0.0)


def span(length, share, place):
    begin = place * (1.0 - share)
    position = (tf.range(length, dtype=tf.float32)[tf.newaxis] + 0.5) / length
    return (position >= begin) & (position < begin + share)


def test_all_usual_changes_together_are_what_they_were_before_they_had_names():
    given = batch(24)
    changed = registry.augment(given, SEED)
    for index, (name, change) in {
        0: ("image", all_of_pictures),
        1: ("audio", all_of_sounds),
    }.items():
        own = tf.random.experimental.stateless_fold_in(SEED, index)
        np.testing.assert_array_equal(changed[name], change(given[name], own))


def test_without_changes_all_stays():
    given = batch()
    for none in ((), {"stretch", "pitch", "mixup"}):
        changed = registry.augment(given, SEED, none)
        for name, values in given.items():
            np.testing.assert_array_equal(changed[name], values)


CHANGED = {
    "mirror": {"image"},
    "flip": {"image"},
    "zoom": {"image"},
    "shift": {"image", "audio"},
    "colour": {"image"},
    "time_mask": {"audio"},
    "frequency_mask": {"audio"},
    "words": {"text"},
}


@pytest.mark.parametrize("change", CHANGED)
def test_a_change_alone_changes_its_modalities_and_is_missing_without_it(change):
    given = batch()
    alone = registry.augment(given, SEED, {change})
    assert {n for n in features.ALL if (alone[n].numpy() != given[n].numpy()).any()} == CHANGED[
        change
    ]
    whole = registry.augment(given, SEED, USUAL | {"flip"})
    without = registry.augment(given, SEED, (USUAL | {"flip"}) - {change})
    assert {n for n in features.ALL if (whole[n].numpy() != without[n].numpy()).any()} == CHANGED[
        change
    ]


@pytest.mark.parametrize(("change", "axis"), [("mirror", 1), ("flip", 0)])
def test_an_image_is_turned_over_exactly_or_stays(change, axis):
    pixels = np.random.default_rng(0).integers(0, 256, (200, 8, 8, 3)).astype(np.uint8)
    changed = augmentation.vary_pictures(tf.constant(pixels), SEED, {change}).numpy()
    same = [(a == b).all() for a, b in zip(changed, pixels, strict=True)]
    turned = [(a == np.flip(b, axis)).all() for a, b in zip(changed, pixels, strict=True)]
    assert np.logical_xor(same, turned).all()
    assert 70 < sum(turned) < 130


def test_masks_of_time_and_of_frequency_keep_their_places_together():
    frames = tf.ones([32, 40, 16])
    time, band, both = (
        augmentation.vary_sounds(frames, SEED, names).numpy()
        for names in ({"time_mask"}, {"frequency_mask"}, {"time_mask", "frequency_mask"})
    )
    np.testing.assert_array_equal(both, time * band)
    assert (np.ptp(time, axis=2) == 0).all()
    assert (np.ptp(band, axis=1) == 0).all()
    assert 0.02 < (band == 0).mean() < 0.2
    assert 0.02 < (time == 0).mean() < 0.3


def test_colour_changes_no_shape():
    pixels = np.full((32, 8, 8, 3), 100, np.uint8)
    pixels[:, 2:6, 2:6] = 150
    changed = augmentation.vary_pictures(tf.constant(pixels), SEED, {"colour"}).numpy()
    assert (np.ptp(changed[:, 2:6, 2:6].astype(int), axis=(1, 2)) == 0).all()
    assert len({one.tobytes() for one in changed}) == 32
