"""Temperatures that are fitted to drawn labels."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from triad_ml.model.tasks.classification import temperature

N = 4000


def singles(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels that are drawn from their softmax."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(N, 4))
    drawn = generator.random((N, 1)) > softmax(logits, axis=1).cumsum(axis=1)
    return logits, drawn.sum(axis=1).clip(max=3)


def sets(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and sets that are drawn from their sigmoid, with a column of unseen classes."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(N, 3))
    drawn = generator.random((N, 3)) < expit(logits)
    return logits, np.pad(drawn.astype(np.float32), [(0, 0), (0, 1)])


@pytest.mark.parametrize("planted", [0.4, 1.0, 3.0])
def test_the_temperature_of_scaled_logits_is_found(planted):
    logits, labels = singles(seed=1)
    likely = softmax(planted * logits, axis=1).astype(np.float32)
    found = temperature.best(labels, likely, multi_label=False)
    assert found == pytest.approx(planted, rel=0.05)
    logits, labels = sets(seed=2)
    likely = expit(planted * logits).astype(np.float32)
    found = temperature.best(labels, likely, multi_label=True)
    assert found == pytest.approx(planted, rel=0.05)


def test_no_temperature_near_it_has_a_smaller_loss():
    logits, labels = singles(seed=3)
    likely = softmax(1.7 * logits, axis=1).astype(np.float32)
    found = temperature.best(labels, likely, multi_label=False)

    def loss(value: float) -> float:
        scaled = softmax(1.7 * logits / value, axis=1)
        return -np.log(scaled[np.arange(N), labels]).sum() + np.log(value) ** 2 / 2

    assert loss(found) < min(loss(0.99 * found), loss(1.01 * found))
    assert found == np.float32(found)


def test_records_without_a_label_or_of_an_unseen_class_do_not_count():
    logits, labels = singles(seed=4)
    likely = softmax(2 * logits, axis=1).astype(np.float32)
    hidden = np.where(np.arange(N) % 3 == 0, -1, np.where(np.arange(N) % 3 == 1, 4, labels))
    known = np.arange(N) % 3 == 2
    found = temperature.best(hidden, likely, multi_label=False)
    assert found == temperature.best(labels[known], likely[known], multi_label=False)
    assert temperature.best(np.full(N, -1), likely, multi_label=False) == 1.0
    logits, labels = sets(seed=5)
    likely = expit(2 * logits).astype(np.float32)
    hidden = np.where(known[:, None], labels, -1)
    found = temperature.best(hidden, likely, multi_label=True)
    assert found == temperature.best(labels[known], likely[known], multi_label=True)


def test_predictions_that_are_all_right_keep_a_moderate_temperature():
    likely = softmax(2.0 * np.eye(3), axis=1).astype(np.float32)[np.arange(24) % 3]
    found = temperature.best(np.arange(24) % 3, likely, multi_label=False)
    assert 0.2 < found < 0.8
    certain = np.eye(3, dtype=np.float32)[np.arange(24) % 3]
    assert temperature.best(np.arange(24) % 3, certain, multi_label=False) == pytest.approx(1.0)
    truth = np.pad(certain, [(0, 0), (0, 1)])
    assert temperature.best(truth, certain, multi_label=True) == pytest.approx(1.0, abs=0.01)
