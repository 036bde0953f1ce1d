"""Thresholds of sets of classes, compared with a search over all of them."""

import numpy as np
import pytest
from sklearn import metrics

from tests import features
from triad_ml.model.tasks.classification import thresholds
from triad_ml.model.tasks.heads import heads_of


def column(truth, likely):
    """Chooses the threshold of one class."""
    labels = np.stack([np.asarray(truth), np.zeros(len(truth), int)], axis=1)
    (one,) = thresholds.best_by_f1(labels, np.asarray(likely, np.float32)[:, np.newaxis])
    return one


def test_a_threshold_lies_in_the_middle_of_the_gap_that_is_best():
    assert column([0, 0, 1, 1, 1], [0.05, 0.125, 0.25, 0.375, 0.4375]) == 0.1875


@pytest.mark.parametrize("seed", range(20))
def test_no_threshold_has_a_higher_f1(seed):
    random = np.random.default_rng(seed)
    truth = random.random(40) < 0.3
    likely = np.round(random.beta(1, 3, 40) + 0.2 * truth, 2).clip(0, 1).astype(np.float32)
    best = max(metrics.f1_score(truth, likely >= lowest) for lowest in [*likely[likely > 0], 0.5])
    found = column(truth, likely)
    assert metrics.f1_score(truth, likely >= found) == pytest.approx(best)
    assert 0 < found < 1
    assert found == float(np.float32(found))


def test_a_class_keeps_its_threshold_if_none_is_better_or_few_records_have_it():
    assert column([0, 0, 1, 1, 1], [0.1, 0.2, 0.7, 0.8, 0.9]) == 0.5
    assert column([0, 0, 0, 1, 1], [0.1, 0.2, 0.2, 0.3, 0.4]) == 0.5
    assert column([0, 0, 0], [0.1, 0.2, 0.9]) == 0.5
    assert thresholds.best_by_f1(np.zeros((0, 3)), np.zeros((0, 2), np.float32)) == (0.5, 0.5)


def test_neighbours_without_a_number_between_them_are_told_apart():
    high = np.float32(0.25)
    low = np.nextafter(high, np.float32(0))
    assert column([0, 0, 1, 1, 1], [low, low, high, high, high]) == high


def test_records_without_a_label_choose_nothing():
    labels = np.array([[1, 0]] * 3 + [[0, 0]] * 2 + [[-1, -1]] * 9)
    likely = np.array([0.25] * 3 + [0.125] * 2 + [0.2] * 9, np.float32)[:, np.newaxis]
    assert thresholds.best_by_f1(labels, likely) == (0.1875,)


def test_only_a_task_that_asks_for_thresholds_has_some():
    tasks = {
        "plain": {"multi_label": True},
        "tuned": {"multi_label": True, "thresholds": "f1"},
    }
    layout = features.layout(["text"], num_classes=1, tasks=tasks)
    labels = np.array([[0, 0]] * 2 + [[1, 0]] * 3, np.float32)
    likely = np.array([[0.125]] * 2 + [[0.25]] * 3, np.float32)
    heads = heads_of(layout.spec, layout.classes)
    found = {name: head.best_thresholds(labels, likely) for name, head in heads.items()}
    assert found == {"plain": None, "tuned": (0.1875,)}


def test_the_label_follows_the_thresholds_and_the_distribution_does_not():
    layout = features.layout(["text"], num_classes=2, tasks={"tags": {"multi_label": True}})
    shares = np.array([[0.3, 0.6], [0.2, 0.7]])
    logits = np.log(shares / (1 - shares)).astype(np.float32)
    served = []
    for chosen in ({}, {"tags": (0.25, 0.65)}):
        head = heads_of(layout.spec, layout.classes, chosen)["tags"]
        served.append(head.serve(logits, {}, {}, None, np.array(layout.classes["tags"])))
    assert served[0]["label"].numpy().tolist() == [[b"", b"c1"], [b"", b"c1"]]
    assert served[1]["label"].numpy().tolist() == [[b"c0", b""], [b"", b"c1"]]
    for part in ("score", "distribution"):
        np.testing.assert_array_equal(served[0][part], served[1][part])
