"""Tables of a task's results in the report."""

import numpy as np

from triad_ml.model.evaluation import document
from triad_ml.pipelines.report import kinds
from triad_ml.transforms.spec import loading

TASK = loading.parse("""
modalities: {image: {}, text: {}}
tasks: {kind: {kind: classification, label: kind}}
""").tasks["kind"]


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
