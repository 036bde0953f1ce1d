"""Labels and published values of each kind of task, compared as in training."""

import numpy as np
import pyarrow as pa
import pytest

from tests.scores import COLUMNS, scored
from triad_ml.model.evaluation import document
from triad_ml.pipelines.tables import columns
from triad_ml.pipelines.verification.late.answers import ANSWERS
from triad_ml.transforms.labels.classes import LabelError
from triad_ml.transforms.records.values import Number, ScoredSpan, Tagged, Text
from triad_ml.transforms.spec.tasks import KINDS, Task


def figures(kind, task, labels, column, classes=()):
    answers = ANSWERS[kind]
    parsed = [answers.label(label, task) for label in labels]
    compared = answers.compared(parsed, column, classes, task)
    return document.evaluate_task(
        task,
        classes,
        compared.labels,
        compared.said,
        {},
        np.ones(len(labels), bool),
        thresholds=compared.thresholds,
        resamples=10,
    )


def of(kind: str, values: pa.StructArray) -> Task:
    return ANSWERS[kind].section(kind, "label", values.type)


def test_every_kind_of_task_has_answers():
    assert ANSWERS.keys() == KINDS.keys() == columns.COLUMNS.keys()


def test_single_classes_are_compared_as_in_training():
    answers = [scored(str(one)).predictions["category"] for one in range(40)]
    classes = COLUMNS["category"].classes
    labels = [*(classes[one % 3] for one in range(30)), *[None] * 5, *["fish"] * 5]
    column = COLUMNS["category"].encode(answers)
    found = figures("classification", of("classification", column), labels, column, classes)
    ids = [*(one % 3 for one in range(30)), *[-1] * 5, *[3] * 5]
    expected = document.evaluate_task(
        of("classification", column),
        classes,
        ids,
        np.stack([one.distribution for one in answers]),
        {},
        np.ones(40, bool),
        resamples=10,
    )
    assert found == expected
    assert found["as recorded"]["n"] == 35
    assert found["as recorded"]["unseen"] == 5


def test_published_sets_are_compared_even_if_the_thresholds_are_not_known():
    lowest = np.array([0.3, 0.8], np.float32)
    classes = COLUMNS["topics"].classes
    answers = []
    for one in range(40):
        answer = scored(str(one)).predictions["topics"]
        names = np.array(classes)[answer.distribution >= lowest]
        answers.append(answer.__class__(tuple(names), answer.score, answer.distribution))
    column = COLUMNS["topics"].encode(answers)
    task = of("classification", column)
    assert task.multi_label
    found = figures("classification", task, [list(one.label) for one in answers], column, classes)
    assert found["as recorded"]["accuracy"]["value"] == 1.0
    chosen = [
        min(one.distribution[k] for one in answers if classes[k] in one.label) for k in (0, 1)
    ]
    assert found["as recorded"]["threshold"] == pytest.approx(chosen)
    wrong = figures("classification", task, [["art", "opera"]] * 40, column, classes)
    assert wrong["as recorded"]["unseen"] == 40
    assert wrong["as recorded"]["accuracy"]["value"] == 0.0


def test_spans_are_right_if_their_characters_and_their_class_are():
    said = [
        Tagged((ScoredSpan(0, 3, "who", 0.9), ScoredSpan(4, 9, "where", 0.8)), 0.7),
        Tagged((ScoredSpan(0, 3, "who", 0.6),), 0.6),
        Tagged((), 0.5),
        Tagged((), 0.5),
    ]
    classes = ("where", "who")
    column = columns.Tagging(classes).encode(said)
    labels = [
        [[4, 9, "where"], {"start": 0, "end": 3, "label": "who"}],
        [[0, 4, "who"], [10, 12, "when"]],
        [],
        None,
    ]
    recorded = figures("tagging", of("tagging", column), labels, column, classes)["as recorded"]
    assert (recorded["n"], recorded["spans"], recorded["unseen"]) == (3, 4, 1)
    assert recorded["precision"]["value"] == pytest.approx(2 / 3)
    assert recorded["recall"]["value"] == pytest.approx(2 / 4)
    assert recorded["accuracy"]["value"] == pytest.approx(2 / 3)
    confidences = [one for one in recorded["calibration"]["bins"] if one["n"]]
    assert sum(one["confidence"] * one["n"] for one in confidences) == pytest.approx(2.3)


def test_spans_next_to_each_other_are_two():
    said = [Tagged((ScoredSpan(0, 3, "who", 0.9), ScoredSpan(3, 6, "who", 0.8)), 0.7)]
    column = columns.Tagging(("who",)).encode(said)
    found = figures("tagging", of("tagging", column), [[[0, 6, "who"]]], column, ("who",))
    assert found["as recorded"]["precision"]["value"] == 0.0


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        (["O", "B-who"], "a span is"),
        ("B-who", "a list of spans"),
        ([[3, 3, "who"]], "at least one character"),
        ([[0, 4, "who"], [3, 5, "who"]], "overlap"),
    ],
)
def test_labels_that_are_no_spans_are_refused(label, reason):
    with pytest.raises(LabelError, match=reason):
        ANSWERS["tagging"].label(label, of("tagging", columns.Tagging(("who",)).encode([])))


def test_texts_and_numbers_are_compared_with_those_of_the_label():
    column = columns.Generation().encode([Text("one two", 0.9), Text("three", 0.5)])
    found = figures("generation", of("generation", column), ["one  two", None], column)
    assert (found["as recorded"]["n"], found["as recorded"]["accuracy"]["value"]) == (1, 1.0)
    column = columns.Regression().encode([Number(1.5), Number(2.5), Number(9.0)])
    found = figures("regression", of("regression", column), [1, "4.5", None], column)
    assert found["as recorded"]["n"] == 2
    assert found["as recorded"]["mae"]["value"] == pytest.approx((0.5 + 2.0) / 2)
