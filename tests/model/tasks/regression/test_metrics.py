"""Metrics of numbers, compared with plain computation."""

import numpy as np
import pytest
from scipy import stats

from triad_ml.model.tasks.regression.metrics import regression


def labelled(values: list[float]) -> list[list[float]]:
    return [[1.0, value] for value in values]


def test_metrics_are_those_of_plain_computation():
    random = np.random.default_rng(0)
    truth = random.integers(0, 20, 60).astype(float)
    said = truth + random.normal(0, 3, 60)
    found = regression([*labelled(truth.tolist()), [-1, -1]], [*said, 99.0])
    assert found["n"] == 60
    assert found["rmse"]["value"] == pytest.approx(np.sqrt(np.mean((said - truth) ** 2)))
    assert found["mae"]["value"] == pytest.approx(np.mean(np.abs(said - truth)))
    assert found["spearman"]["value"] == pytest.approx(stats.spearmanr(truth, said).statistic)
    assert found["pairs"] == sorted(zip(truth, said, strict=True), key=lambda pair: pair[0])
    assert found["deviation"] == pytest.approx(truth.std())
    for name in ("rmse", "mae", "spearman"):
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]


def test_what_is_undefined_is_none():
    nothing = {"value": None, "low": None, "high": None}
    found = regression(np.full((2, 2), -1.0), [1.0, 2.0])
    assert found == {
        "n": 0,
        **dict.fromkeys(("rmse", "mae", "spearman"), nothing),
        "deviation": None,
        "pairs": [],
    }
    alike = regression(labelled([1.0, 2.0]), [3.0, 3.0])
    assert (alike["mae"]["value"], alike["spearman"]) == (1.5, nothing)


def test_a_number_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="a prediction is not finite"):
        regression(labelled([1.0]), [np.nan])
