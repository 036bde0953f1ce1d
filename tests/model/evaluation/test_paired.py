"""Change of a figure from one model to another: figures, intervals, and false alarms."""

import math

import numpy as np
import pytest

from triad_ml.model.evaluation import paired
from triad_ml.model.tasks import bootstrap
from triad_ml.model.tasks.generation.metrics import Written
from triad_ml.model.tasks.metrics import metrics_of
from triad_ml.model.tasks.tagging.metrics import Tags
from triad_ml.transforms.spec.tasks import KINDS

CLASSES = ("a", "b", "c")
N = 40


def likely(rng: np.random.Generator) -> np.ndarray:
    return rng.dirichlet(np.ones(3), N).astype(np.float32)


def case(kind: str, rng: np.random.Generator) -> tuple:
    """Labels and predictions of a kind of task, with a class that the model does not know."""
    if kind == "classification":
        return rng.integers(0, 4, N), likely(rng), None
    if kind == "sets":
        return rng.integers(0, 2, (N, 4)).astype(np.float32), likely(rng), (0.2, 0.3, 0.4)
    if kind == "tagging":
        tags = rng.choice([0, 0, 1, 2, 3, 7], (2, N, 6))
        return tags[0], Tags(tags[1] % 7, np.ones((N, 6), np.float32)), None
    if kind == "generation":
        texts = np.array([f"the {one} fan".encode() for one in rng.integers(0, 5, 2 * N)], object)
        return texts[:N], Written(texts[N:], np.ones(N, np.float32)), None
    values = rng.normal(size=(2, N)).astype(np.float32)
    return np.stack([np.ones(N), values[0]], axis=1), values[1], None


@pytest.mark.parametrize("kind", [*KINDS, "sets"])
def test_the_first_figure_by_weights_is_that_of_the_records_drawn_so_often(kind):
    rng = np.random.default_rng(5)
    labels, said, thresholds = case(kind, rng)
    sets = kind == "sets"
    own = "classification" if sets else kind
    given = {"kind": own, "label": "x", **({"multi_label": True} if sets else {})}
    task, metrics = KINDS[own].model_validate(given), metrics_of(own, thresholds)
    key = next(iter(metrics.figures))
    times = rng.integers(0, 3, (2, N))
    found = metrics.first_figure(task, labels, said, CLASSES)(times.astype(float))
    for drawn, value in zip(times, found, strict=True):
        rows = np.repeat(np.arange(N), drawn)
        chosen = metrics.chosen(said, rows)
        figures = metrics.measure(task, labels[rows], chosen, CLASSES, seed=0, resamples=1)
        assert value == pytest.approx(figures[key]["value"], abs=1e-12)


def right(values: np.ndarray) -> bootstrap.Statistic:
    return bootstrap.mean(values.astype(float))


def test_the_deviation_is_that_of_paired_differences():
    rng = np.random.default_rng(0)
    before = rng.random(400) < 0.8
    after = np.where(rng.random(400) < 0.1, ~before, before)
    found = paired.change(right(before), right(after), 400)
    differences = after.astype(float) - before
    assert found.difference == pytest.approx(differences.mean())
    assert found.deviation == pytest.approx(differences.std() / 20, rel=0.1)
    low, high = found.interval(1)
    assert (low + high) / 2 == pytest.approx(found.difference)
    assert high - found.difference == pytest.approx(1.966 * found.deviation, rel=1e-3)
    assert found.interval(20)[0] < low


def test_a_loss_on_a_slice_of_five_percent_is_worse_there_and_not_on_the_whole():
    rng = np.random.default_rng(1)
    before = rng.random(600) < 0.8
    after = np.where(rng.random(600) < 0.15, rng.random(600) < 0.9, before)
    before[:30], after[:30] = True, np.arange(30) % 2 == 0
    small = paired.change(right(before[:30]), right(after[:30]), 30)
    whole = paired.change(right(before), right(after), 600)
    assert (small.before, small.after) == (1.0, 0.5)
    assert small.worse(20, lower_is_better=False)
    assert not whole.worse(20, lower_is_better=False)
    assert not small.worse(20, lower_is_better=True)


def test_at_most_one_in_twenty_comparisons_of_equal_models_finds_a_worse_slice():
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(200):
        found = []
        for n in (30, 40, 60, 100, 200):
            truth, first, second = rng.random((3, n)) < [[0.5], [0.2], [0.2]]
            found.append(
                paired.change(right(truth ^ first), right(truth ^ second), n, resamples=100)
            )
        alarms += any(one.worse(len(found), lower_is_better=False) for one in found)
    assert alarms <= 10


def test_equal_predictions_and_undefined_figures_are_not_worse():
    same = right(np.arange(50) % 2 == 0)
    equal = paired.change(same, same, 50)
    assert (equal.difference, equal.deviation) == (0.0, 0.0)
    undefined = paired.change(lambda weights: weights[:, 0] * math.nan, same, 50)
    for one in (equal, undefined):
        assert not one.worse(1, lower_is_better=False)
        assert not one.worse(1, lower_is_better=True)
