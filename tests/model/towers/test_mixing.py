"""Mixup: mixtures of records that have the same modalities, and of the losses of their labels."""

import numpy as np
import pytest
import tensorflow as tf

from tests import features
from triad_ml.model.tasks.classification import losses
from triad_ml.model.towers import mixing

SEED = tf.constant([3, 4])
ROWS = 64


def batch(rows=ROWS):
    given = {n: tf.constant(v) for n, v in features.batch(features.layout(), rows).items()}
    given["text_spelling"] = given["text"][:, :, tf.newaxis] * 10
    given["text_surface"] = tf.strings.as_string(given["text"])
    return given


def test_numbers_are_means_of_a_record_and_its_partner():
    given = batch()
    mix = mixing.mixed(given, SEED)
    partners, shares = mix.partners.numpy(), mix.shares.numpy()
    assert sorted(partners) == list(range(ROWS))
    assert 0.5 <= shares.min() < 0.8
    assert 0.8 < np.median(shares) <= shares.max() <= 1
    for name in ("image", "audio"):
        values = given[name].numpy().astype(np.float64)
        share = shares.reshape(-1, *[1] * (values.ndim - 1))
        wanted = share * values + (1 - share) * values[partners]
        assert mix.features[name].dtype == given[name].dtype
        tolerance = 0.51 if name == "image" else 1e-5
        np.testing.assert_allclose(mix.features[name], wanted, rtol=0, atol=tolerance)


def test_all_features_of_a_text_are_those_of_one_of_the_two():
    given = batch(400)
    mix = mixing.mixed(given, SEED)
    partners = mix.partners.numpy()
    names = ("text", "text_spelling", "text_surface")
    whole = {name: given[name].numpy() for name in names}
    taken = []
    for row, partner in enumerate(partners):
        sources = [
            source
            for source in {row, int(partner)}
            if all((mix.features[n].numpy()[row] == whole[n][source]).all() for n in names)
        ]
        assert sources
        taken.append(row in sources)
    assert abs(np.mean(taken) - mix.shares.numpy().mean()) < 0.08


def test_a_record_is_mixed_only_with_one_of_the_same_modalities():
    given = batch()
    random = np.random.default_rng(0)
    for name in features.ALL:
        given[f"{name}_present"] = tf.constant(random.random(ROWS) < 0.6)
    mix = mixing.mixed(given, SEED)
    present = np.stack([given[f"{name}_present"].numpy() for name in features.ALL], axis=1)
    unlike = (present != present[mix.partners.numpy()]).any(axis=1)
    assert 10 < unlike.sum() < ROWS - 3
    assert (mix.shares.numpy()[unlike] == 1).all()
    assert (mix.shares.numpy()[~unlike] < 1).any()
    for name in features.ALL:
        np.testing.assert_array_equal(
            mix.features[name].numpy()[unlike], given[name].numpy()[unlike]
        )
        np.testing.assert_array_equal(
            mix.features[f"{name}_present"], given[f"{name}_present"].numpy()
        )


def test_the_seed_decides_all():
    given = batch()
    once, again, other = (mixing.mixed(given, tf.constant(s)) for s in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(once.shares, again.shares)
    for name, values in once.features.items():
        np.testing.assert_array_equal(values, again.features[name])
    assert (once.shares.numpy() != other.shares.numpy()).any()
    assert (once.partners.numpy() != other.partners.numpy()).any()


def test_mixed_losses_count_by_share_and_missing_labels_not_at_all():
    own = tf.constant([1.0, 2.0, 0.0, 4.0]), tf.constant([True, True, False, True])
    other = tf.constant([5.0, 0.0, 7.0, 8.0]), tf.constant([True, False, True, True])
    shares = tf.constant([0.75, 0.5, 0.6, 1.0])
    total = 0.75 * 1 + 0.25 * 5 + 0.5 * 2 + 0.4 * 7 + 1.0 * 4
    number = 1 + 0.5 + 0.4 + 1
    assert float(losses.mixed_mean(own, other, shares)) == pytest.approx(total / number)
    alone = losses.mixed_mean(own, other, tf.ones(4))
    assert float(alone) == pytest.approx(float(losses.masked_mean(*own)))
    nothing = tf.zeros(4), tf.zeros(4, tf.bool)
    assert float(losses.mixed_mean(nothing, nothing, shares)) == 0
