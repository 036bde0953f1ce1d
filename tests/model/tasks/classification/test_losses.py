"""Cross-entropy losses, compared with plain computation, and rows without a label."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from triad_ml.model.tasks.classification import losses

LOGITS = np.array([[2.0, 0.0, -1.0], [0.5, 0.5, 0.5], [-3.0, 1.0, 4.0]], np.float32)


def gradient(loss, labels, logits, **options):
    """Computes the mean loss of the known rows, as training does, and its gradient."""
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        value = losses.masked_mean(*loss(tf.constant(labels), variable, **options))
    return float(value), tape.gradient(value, variable).numpy()


def log_shares(logits):
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_cross_entropy_is_the_mean_over_labelled_rows():
    value, _ = gradient(losses.sparse_crossentropy, [0, -1, 1], LOGITS)
    expected = -(log_shares(LOGITS)[0, 0] + log_shares(LOGITS)[2, 1]) / 2
    assert value == pytest.approx(expected, rel=1e-6)


def test_class_weights_multiply_each_rows_loss():
    weights = np.array([3.0, 0.5, 1.0], np.float32)
    value, _ = gradient(losses.sparse_crossentropy, [0, -1, 1], LOGITS, class_weights=weights)
    expected = -(3 * log_shares(LOGITS)[0, 0] + 0.5 * log_shares(LOGITS)[2, 1]) / 2
    assert value == pytest.approx(expected, rel=1e-6)


def test_label_smoothing_spreads_a_share_over_all_classes():
    value, _ = gradient(losses.sparse_crossentropy, [0, 2, 1], LOGITS, label_smoothing=0.3)
    targets = 0.7 * np.eye(3)[[0, 2, 1]] + 0.1
    assert value == pytest.approx(-(targets * log_shares(LOGITS)).sum(axis=1).mean(), rel=1e-6)


@pytest.mark.parametrize("unlabelled", [-1, 3])
def test_rows_without_a_known_class_get_a_gradient_of_exactly_zero(unlabelled):
    logits = LOGITS.copy()
    logits[1] = np.nan
    value, slope = gradient(losses.sparse_crossentropy, [0, unlabelled, 1], logits)
    assert np.isfinite(value)
    assert slope[1].tolist() == [0, 0, 0]
    assert np.abs(slope[[0, 2]]).min() > 0


def test_a_batch_without_any_label_has_loss_and_gradient_of_exactly_zero():
    value, slope = gradient(losses.sparse_crossentropy, [-1, -1, 3], LOGITS)
    assert value == 0
    assert not slope.any()
    value, slope = gradient(losses.binary_crossentropy, np.full((3, 3), -1.0, "f"), LOGITS)
    assert value == 0
    assert not slope.any()


def test_binary_cross_entropy_is_the_mean_over_classes_and_labelled_rows():
    labels = np.array([[1, 0, 1], [-1, -1, -1], [0, 0, 0]], np.float32)
    value, slope = gradient(losses.binary_crossentropy, labels, LOGITS)
    shares = 1 / (1 + np.exp(-LOGITS))
    rows = -(labels * np.log(shares) + (1 - labels) * np.log(1 - shares)).mean(axis=1)
    assert value == pytest.approx((rows[0] + rows[2]) / 2, rel=1e-5)
    assert slope[1].tolist() == [0, 0, 0]


def test_binary_class_weights_tell_absent_from_present():
    labels = np.array([[1, 0, 0]], np.float32)
    weights = np.array([[1, 5, 1], [2, 7, 1]], np.float32)
    value, _ = gradient(
        losses.binary_crossentropy, labels, np.zeros((1, 3), "f"), class_weights=weights
    )
    assert value == pytest.approx((2 + 5 + 1) * np.log(2) / 3, rel=1e-6)


def test_large_logits_stay_finite():
    labels = np.array([[1, 0]], np.float32)
    logits = np.array([[-1e4, 1e4]], np.float32)
    assert gradient(losses.binary_crossentropy, labels, logits)[0] == pytest.approx(1e4)


def test_balanced_weights_give_each_class_the_same_share():
    weights = losses.balanced_weights(np.array([6, 2, 0, 1]))
    assert weights.tolist() == pytest.approx([0.5, 1.5, 0, 3])
    sets = losses.balanced_set_weights(np.array([1, 4]), labelled=4)
    assert sets.tolist() == [pytest.approx([4 / 6, 0]), pytest.approx([2, 1])]


def test_effective_weights_are_those_of_cui_et_al_with_a_mean_of_one():
    counts = np.array([100, 10, 0, 1])
    weights = losses.effective_weights(counts, 0.9)
    inverse = np.array([0.1 / (1 - 0.9**n) if n else 0 for n in counts])
    expected = inverse * counts.sum() / (inverse * counts).sum()
    assert weights.tolist() == pytest.approx(expected.tolist(), rel=1e-6)
    assert (weights * counts).sum() == pytest.approx(counts.sum(), rel=1e-6)


def test_effective_weights_are_between_no_weights_and_balanced_ones():
    counts = np.array([60, 30, 10])
    assert losses.effective_weights(counts, 1e-9).tolist() == pytest.approx([1, 1, 1])
    nearly = losses.effective_weights(counts, 1 - 1e-9)
    assert nearly.tolist() == pytest.approx(losses.balanced_weights(counts).tolist(), rel=1e-5)
    sets = losses.effective_set_weights(counts, 100, 1 - 1e-9)
    np.testing.assert_allclose(sets, losses.balanced_set_weights(counts, 100), rtol=1e-5)


def test_log_priors_are_finite_shares_and_odds():
    shares = np.exp(losses.log_priors(np.array([6, 3, 1])))
    assert shares.tolist() == pytest.approx([0.6, 0.3, 0.1])
    assert np.exp(losses.log_priors(np.array([3, 0]))).tolist() == pytest.approx([6 / 7, 1 / 7])
    odds = np.exp(losses.set_log_priors(np.array([8, 5, 0, 10]), 10))
    assert odds.tolist() == pytest.approx([4, 1, 0.05, 20])


def test_the_losses_agree_with_keras():
    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected = plain(np.array([0, 2, 1]), LOGITS)
    value, _ = gradient(losses.sparse_crossentropy, [0, 2, 1], LOGITS)
    assert value == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("gamma", [1.0, 2.0, 3.5])
def test_the_focal_loss_takes_weight_from_what_is_right_already(gamma):
    value, slope = gradient(losses.sparse_crossentropy, [0, -1, 1], LOGITS, gamma=gamma)
    logs = np.array([log_shares(LOGITS)[0, 0], log_shares(LOGITS)[2, 1]])
    assert value == pytest.approx((-logs * (1 - np.exp(logs)) ** gamma).mean(), rel=1e-5)
    assert slope[1].tolist() == [0, 0, 0]


def test_the_focal_loss_of_sets_looks_at_each_class():
    labels = np.array([[1, 0, 1], [-1, -1, -1], [0, 0, 0]], np.float32)
    value, slope = gradient(losses.binary_crossentropy, labels, LOGITS, gamma=2.0)
    shares = 1 / (1 + np.exp(-LOGITS))
    right = np.where(labels > 0, shares, 1 - shares)
    rows = (-np.log(right) * (1 - right) ** 2).mean(axis=1)
    assert value == pytest.approx((rows[0] + rows[2]) / 2, rel=1e-5)
    assert slope[1].tolist() == [0, 0, 0]


def test_focal_loss_class_weights_and_smoothing_go_together():
    weights = np.array([3.0, 0.5, 1.0], np.float32)
    value, _ = gradient(
        losses.sparse_crossentropy,
        [0, 2, 1],
        LOGITS,
        class_weights=weights,
        label_smoothing=0.3,
        gamma=2.0,
    )
    logs, truth = log_shares(LOGITS), [0, 2, 1]
    rows = -((0.7 * np.eye(3)[truth] + 0.1) * logs).sum(axis=1)
    focus = (1 - np.exp(logs[np.arange(3), truth])) ** 2
    assert value == pytest.approx((rows * focus * weights[truth]).mean(), rel=1e-5)


@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_the_focal_loss_of_what_is_certain_is_zero_and_finite(gamma):
    logits = np.array([[1e4, 0.0], [-1e4, 1e4]], np.float32)
    value, slope = gradient(losses.sparse_crossentropy, [0, 1], logits, gamma=gamma)
    assert value == 0
    assert np.isfinite(slope).all()
    sets = np.array([[1, 0], [0, 1]], np.float32)
    value, slope = gradient(losses.binary_crossentropy, sets, logits, gamma=gamma)
    assert np.isfinite(value)
    assert np.isfinite(slope).all()
