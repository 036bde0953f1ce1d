"""Sentence of the report that compares all modalities with the best single one."""

import pytest

from triad_ml.pipelines.report.kinds import KINDS

NAMES = ("image", "text")


def subsets(key, image, text, both):
    values = {"image": image, "text": text, "image+text": both}
    return {name: {"n": 1234, key: {"value": value}} for name, value in values.items()}


@pytest.mark.parametrize(
    ("kind", "measured", "sentence"),
    [
        (
            "classification",
            subsets("accuracy", 0.5, 0.75, 0.8),
            "On the 1,234 complete records all modalities together reach 80.0%, 5.0 points more "
            "than the best single one, text (75.0%).",
        ),
        (
            "classification",
            subsets("accuracy", 0.75, 0.5, 0.75),
            "On the 1,234 complete records all modalities together reach 75.0%, as much as the "
            "best single one, image (75.0%).",
        ),
        (
            "regression",
            subsets("rmse", 2.5, 4.0, 2.0),
            "On the 1,234 complete records all modalities together have an RMSE of 2, and the best "
            "single one, image, has 2.5.",
        ),
    ],
)
def test_the_best_single_modality_is_named(kind, measured, sentence):
    assert KINDS[kind].finding(measured, NAMES) == sentence


@pytest.mark.parametrize(("kind", "key"), [("classification", "accuracy"), ("regression", "rmse")])
def test_nothing_is_said_without_each_modality_alone(kind, key):
    measured = subsets(key, 0.5, 0.5, 0.5)
    unmeasured = {name: one for name, one in measured.items() if name != "text"}
    unlabelled = {name: {**one, "n": 0} for name, one in measured.items()}
    assert KINDS[kind].finding(unmeasured, NAMES) == ""
    assert KINDS[kind].finding(unlabelled, NAMES) == ""
    assert KINDS[kind].finding({"image": measured["image"]}, ("image",)) == ""
