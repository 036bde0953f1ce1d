"""Layers of the towers: missing rows and padding have no effect on others."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from triad_ml.model.towers.convolutional import ConvNorm
from triad_ml.model.towers.layers import MaskedPooling, MaskMissing


def pictures(rows=6, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, 5, 5, 3)).astype("f")


def test_missing_rows_become_zeros_whatever_they_hold():
    given = np.array([[1, 2], [np.nan, np.inf]], np.float32)
    masked = MaskMissing()(given, np.array([True, False])).numpy()
    assert masked.tolist() == [[1, 2], [0, 0]]


def test_a_nan_in_a_missing_row_sends_no_nan_back():
    given = tf.Variable([[1.0, 2.0], [np.nan, 4.0]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.sqrt(MaskMissing()(given, tf.constant([True, False])) + 1))
    assert tape.gradient(loss, given).numpy()[1].tolist() == [0, 0]


@pytest.mark.parametrize("depthwise", [False, True])
def test_in_training_each_channel_is_normalized_over_the_rows_that_are_there(depthwise):
    layer = ConvNorm(4, 3, depthwise=depthwise, activate=False)
    present = np.array([True, True, False, True, False, True])
    outputs = layer(pictures(), present, training=True).numpy()[present]
    assert outputs.mean(axis=(0, 1, 2)) == pytest.approx(0, abs=1e-5)
    assert outputs.std(axis=(0, 1, 2)) == pytest.approx(1, abs=1e-3)


def test_what_missing_rows_hold_changes_neither_the_others_nor_the_statistics():
    present = np.array([True, True, False, True, False, True])
    given = pictures()
    changed = given.copy()
    changed[~present] = 100
    layer = ConvNorm(4, 3)
    layer(given, present)
    weights = layer.get_weights()
    outputs, statistics = [], []
    for images in (given, changed):
        layer.set_weights(weights)
        outputs.append(layer(images, present, training=True).numpy()[present])
        statistics.append([layer.moving_mean.numpy(), layer.moving_variance.numpy()])
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(statistics[0], statistics[1])
    assert np.abs(statistics[0][0]).min() > 0


def test_a_batch_without_the_modality_leaves_the_statistics_alone():
    layer = ConvNorm(4, 3)
    outputs = layer(pictures(), np.zeros(6, bool), training=True).numpy()
    assert np.isfinite(outputs).all()
    assert layer.moving_mean.numpy().tolist() == [0] * 4
    assert layer.moving_variance.numpy().tolist() == [1] * 4


@pytest.mark.parametrize("rows", [0, 1])
def test_rows_that_are_missing_do_not_blow_up_where_the_others_do_not_vary(rows):
    present = np.arange(6) < rows
    maps = pictures()
    maps[present] = 1
    variables = []
    with tf.GradientTape() as tape:
        for _ in range(16):
            layer = ConvNorm(4, 1)
            layer(maps, present)
            layer.beta.assign([1, 2, 3, 4])
            maps = layer(maps, present, training=True)
            variables += layer.trainable_variables
        loss = tf.reduce_sum(maps)
    assert maps.numpy()[~present].tolist() == np.zeros((6 - rows, 5, 5, 4)).tolist()
    assert np.abs(maps.numpy()).max() < 1000
    for gradient in tape.gradient(loss, variables):
        assert np.isfinite(gradient.numpy()).all()


@pytest.mark.parametrize("depthwise", [False, True])
def test_outside_of_training_the_folded_kernel_normalizes_with_the_moving_statistics(depthwise):
    layer = ConvNorm(3, 3, (2, 2), depthwise=depthwise, activate=False)
    present = np.ones(6, bool)
    layer(pictures(), present)
    random = np.random.default_rng(3)
    gamma, beta, mean, variance = random.uniform(0.5, 2, size=(4, 3)).astype("f")
    for weight, value in zip(
        (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance),
        (gamma, beta, mean, variance),
        strict=True,
    ):
        weight.assign(value)
    convolve = tf.nn.depthwise_conv2d if depthwise else tf.nn.conv2d
    plain = convolve(pictures(), layer.kernel.value, [1, 2, 2, 1], "SAME").numpy()
    expected = (plain - mean) / np.sqrt(variance + keras.config.epsilon()) * gamma + beta
    np.testing.assert_allclose(layer(pictures(), present).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("depthwise", [False, True])
def test_the_shape_is_known_without_running(depthwise):
    layer = ConvNorm(4, 3, (4, 2), depthwise=depthwise)
    told = layer.compute_output_shape((None, 5, 5, 3), (None,))
    assert told[1:] == layer(pictures(), np.ones(6, bool)).shape[1:]


def test_pooling_sees_only_the_steps_that_count():
    sequence = np.array([[[1, -5], [3, -1], [99, 99]], [[7, 7], [7, 7], [7, 7]]], np.float32)
    known = np.array([[True, True, False], [False, False, False]])
    pooled = MaskedPooling()(sequence, known).numpy()
    assert pooled.tolist() == [[2, -3, 3, -1], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("layer", "given"),
    [
        (ConvNorm(4, 3, (2, 1), activate=False, name="a"), (pictures(), np.ones(6, bool))),
        (ConvNorm(3, 5, depthwise=True, name="a"), (pictures(), np.ones(6, bool))),
        (MaskMissing(name="a"), (pictures(), np.zeros(6, bool))),
        (MaskedPooling(name="a"), (pictures()[:, 0], np.ones((6, 5), bool))),
    ],
    ids=["ConvNorm", "depthwise", "MaskMissing", "MaskedPooling"],
)
def test_a_layer_comes_back_from_its_config(layer, given):
    expected = layer(*given)
    again = type(layer).from_config(layer.get_config())
    again(*given)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(*given), expected)
    assert again.get_config() == layer.get_config()
