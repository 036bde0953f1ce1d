"""Tables of a task's results in the report."""

import numpy as np
import pytest

from triad_ml.model.evaluation import document
from triad_ml.pipelines.report import kinds
from triad_ml.transforms.spec import loading

TASK = loading.parse("""
modalities: {image: {}, text: {}}
tasks: {kind: {kind: classification, label: kind}}
""").tasks["kind"]


def test_a_calibration_has_the_gap_before_the_temperature():
    truth = np.array([0, 1, 0, 1])
    sure = np.array([[0.9, 0.1]] * 4, np.float32)
    evaluated = document.evaluate_task(
        TASK,
        ("a", "b"),
        truth,
        sure / 2 + 0.25,
        {},
        np.ones(4, bool),
        resamples=10,
        temperature=document.Temperature(2.5, 40, sure),
    )
    assert evaluated["temperature"]["ece_before"] == pytest.approx(0.4)
    assert evaluated["as recorded"]["calibration"]["ece"] == pytest.approx(0.2)
    caption = kinds.view("kind", evaluated, ("image", "text"))["calibration"].caption
    assert caption == (
        "Accuracy against confidence; mean gap (ECE) 20.0%, 40.0% before the temperature of 2.5."
    )


def test_linear_models_have_rows_behind_the_network_as_recorded():
    truth = np.array([0, 1, 0, 1])
    right, wrong = np.eye(2, dtype=np.float32)[truth], np.eye(2, dtype=np.float32)[1 - truth]
    evaluated = document.evaluate_task(
        TASK,
        ("a", "b"),
        truth,
        right,
        {"image": right},
        np.ones(4, bool),
        resamples=10,
        linear={"text": wrong, "image+text": right},
    )
    rows = kinds.view("kind", evaluated, ("image", "text"))["rows"]
    assert [(row["title"], row["seen"], row["figures"][0].text) for row in rows] == [
        ("as recorded", (), "100.0%"),
        ("linear model, text", (), "0.0%"),
        ("linear model, image + text", (), "100.0%"),
        ("", ("image",), "100.0%"),
    ]
