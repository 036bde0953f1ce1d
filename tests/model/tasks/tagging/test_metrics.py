"""Metrics of spans equal those of seqeval; undefined figures are None."""

import json

import numpy as np
import pytest
from seqeval.metrics import f1_score, precision_score, recall_score

from triad_ml.model.evaluation import document
from triad_ml.model.tasks.tagging.metrics import Tags, tagging
from triad_ml.transforms.spec.tasks import TaggingTask

CLASSES = ("place", "person-name")
TASK = TaggingTask(kind="tagging", label="names")
NAMES = ("O", "B-place", "I-place", "B-person-name", "I-person-name")


def tags(*rows: list[int], score: float = 0.75) -> Tags:
    made = np.array(rows, np.int64)
    return Tags(made, np.where(made % 2 == 1, score, 0).astype(np.float32))


def random_tags(random: np.random.Generator, rows: int, length: int) -> np.ndarray:
    made = random.integers(0, 5, (rows, length))
    for row in made:
        before = 0
        for place, tag in enumerate(row):
            if tag and tag % 2 == 0 and before not in (tag, tag - 1):
                row[place] = tag - 1
            before = row[place]
    return made


def test_counts_of_a_hand_made_case_are_exact():
    labels = [[1, 2, 0, 3], [0, 0, -1, -1], [-1, -1, -1, -1], [5, 0, 1, -1]]
    said = tags([1, 2, 0, 1], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0])
    found = tagging(labels, said, CLASSES)
    assert (found["n"], found["spans"], found["unseen"]) == (3, 4, 1)
    assert found["entity_f1"]["value"] == 0.5
    assert found["precision"]["value"] == found["recall"]["value"] == 0.5
    assert found["accuracy"]["value"] == 0
    assert found["majority"] == pytest.approx(1 / 3)
    assert found["per_class"] == [
        {"class": "place", "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "n": 2},
        {"class": "person-name", "precision": None, "recall": 0.0, "f1": 0.0, "n": 1},
    ]
    (full,) = [one for one in found["calibration"]["bins"] if one["n"]]
    assert (full["n"], full["confidence"], full["accuracy"]) == (4, 0.75, 0.5)
    json.loads(json.dumps(found, allow_nan=False))


@pytest.mark.parametrize("seed", range(4))
def test_the_figures_are_those_of_seqeval(seed):
    random = np.random.default_rng(seed)
    labels = random_tags(random, 30, 7)
    said = np.where(random.random((30, 1)) < 0.5, labels, random_tags(random, 30, 7))
    truth, predicted = ([[NAMES[tag] for tag in row] for row in rows] for rows in (labels, said))
    found = tagging(labels, tags(*said.tolist()), CLASSES, resamples=200)
    for name, score in (
        ("entity_f1", f1_score),
        ("precision", precision_score),
        ("recall", recall_score),
    ):
        assert found[name]["value"] == pytest.approx(score(truth, predicted))
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]
    assert found["macro_f1"]["value"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert found["accuracy"]["value"] == (labels == said).all(axis=1).mean()


def test_without_labels_or_without_spans_figures_are_undefined():
    none = tagging([[-1, -1]], tags([1, 0]), CLASSES)
    assert (none["n"], none["majority"]) == (0, None)
    assert none["entity_f1"] == {"value": None, "low": None, "high": None}
    nothing = tagging([[0, 0], [0, -1]], tags([0, 0], [0, 0]), CLASSES)
    assert (nothing["n"], nothing["majority"], nothing["accuracy"]["value"]) == (2, 1.0, 1.0)
    assert nothing["entity_f1"]["value"] is None
    json.loads(json.dumps([none, nothing], allow_nan=False))


def test_subsets_without_text_are_left_out_of_the_document():
    labels = np.array([[1, 0], [0, 3]])
    said = tags([1, 0], [0, 0])
    names = ("image", "text", "image+text")
    found = document.evaluate_task(
        TASK, CLASSES, labels, said, dict.fromkeys(names, said), [True, False]
    )
    assert found["kind"] == "tagging"
    assert list(found["subsets"]) == ["text", "image+text"]
    assert found["as recorded"]["entity_f1"]["value"] == pytest.approx(2 / 3)
    assert found["subsets"]["text"]["n"] == 1
    assert found["subsets"]["text"]["entity_f1"]["value"] == 1
    shown = document.table(document.document({"test": {"names": found}}))
    assert [column.header for column in shown.columns] == [
        *("task", "modalities", "n", "entity F1", "accuracy", "macro-F1")
    ]
