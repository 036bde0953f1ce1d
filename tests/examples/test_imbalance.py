"""Paired comparison of the treatments of rare classes in the benchmark."""

import math

import pytest

from benchmarks import imbalance
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.tasks import GENERATED

NOTHING = {(split, seed): {"accuracy": 0.1 * split} for split in range(3) for seed in range(3)}


def test_differences_are_of_pairs_and_their_interval_is_of_splits():
    gains = {0: 0.01, 1: 0.02, 2: 0.03}
    method = {
        (split, seed): {"accuracy": figures["accuracy"] + gains[split] + 0.001 * (seed - 1)}
        for (split, seed), figures in NOTHING.items()
    }
    found = imbalance.compared(method, NOTHING, "accuracy")
    assert found.difference == pytest.approx(0.02)
    assert found.half == pytest.approx(4.302653 * 0.01 / 3**0.5, rel=1e-5)
    assert (found.better, found.pairs) == (9, 9)


def test_pairs_that_only_one_side_has_do_not_count():
    method = {(0, 0): {"accuracy": 0.5}, (9, 9): {"accuracy": 1.0}}
    found = imbalance.compared(method, NOTHING, "accuracy")
    assert (found.difference, found.better, found.pairs) == (0.5, 1, 1)
    assert math.isnan(found.half)


def test_the_methods_are_those_of_the_spec_and_begin_with_the_three_to_compare():
    assert imbalance.METHODS[:3] == ("none", *reversed(GENERATED))
    content = "modalities: {text: }\ntasks: {a: {kind: classification, label: b, imbalance: %s}}"
    for method in imbalance.METHODS:
        if method not in GENERATED:
            assert loading.parse(content % method).tasks["a"].imbalance == method
