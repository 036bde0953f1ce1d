"""Score columns of each kind of task: decoding returns what was encoded, and parity's values."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from triad_ml.pipelines.tables import columns, json_rows
from triad_ml.pipelines.tables.columns import (
    Classification,
    Generation,
    Regression,
    ScoreColumn,
    Tagging,
)
from triad_ml.transforms.records.values import (
    CanonicalRecord,
    Explanation,
    Number,
    Position,
    Prediction,
    ScoredSpan,
    Tagged,
    Text,
)
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.spec import Task

CLASSES = ("cat", "dog")
WHY = Explanation("dog", 0.5, {"image": 0.25, "text": -0.125})
LIKELY = np.array([0.25, 0.75], np.float32)
RECORD = CanonicalRecord("r", Position("in.jsonl", 0))
WRITTEN: list[tuple[ScoreColumn, list[Any]]] = [
    (Classification(CLASSES), [Prediction("dog", 0.75, LIKELY), Prediction("cat", 0.5, LIKELY)]),
    (
        Classification(CLASSES, ("image", "text"), multi_label=True),
        [Prediction((), 0.25, LIKELY, WHY), Prediction(CLASSES, 0.75, LIKELY, WHY)],
    ),
    (Tagging(("person",)), [Tagged((), 1.0), Tagged((ScoredSpan(0, 3, "person", 0.5),), 0.25)]),
    (Generation(), [Text("", 0.5), Text("été\n", 0.25)]),
    (Regression(), [Number(-0.5), Number(1e6)]),
    (
        Regression((), ("image", "text")),
        [Number(2.25, Explanation("", 0.5, {"image": 1.5, "text": 0.25}))],
    ),
]
NAMES = ["classes", "sets", "spans", "texts", "numbers", "explained numbers"]


def values(answers: Sequence[Any]) -> list[str]:
    return list(map(repr, answers))


@pytest.mark.parametrize(("column", "answers"), WRITTEN, ids=NAMES)
def test_answers_come_back_as_they_were_written(column: ScoreColumn, answers: list[Any]) -> None:
    made = column.encode(answers)
    assert made.type == column.arrow_type() == column.encode([]).type
    read = column.decode(made)
    assert values([read(row) for row in range(len(answers))]) == values(answers)


@pytest.mark.parametrize(("column", "answers"), WRITTEN, ids=NAMES)
def test_json_lines_give_the_same_column(column: ScoreColumn, answers: list[Any]) -> None:
    made = column.encode(answers)
    lines = json.loads(json.dumps(json_rows.json_values(made)))
    assert json_rows.column("task", lines).equals(made)


def test_an_object_of_no_kind_is_an_error_of_the_file() -> None:
    with pytest.raises(ValueError, match="no kind of task has values of price, size"):
        json_rows.column("task", [{"price": 1, "size": 2}])


def test_a_column_is_made_of_what_the_spec_says_of_the_task() -> None:
    asked = (CLASSES, ("image", "text"))
    made = {kind: columns.COLUMNS[kind].of(task(kind), *asked) for kind in columns.COLUMNS}
    assert made == {
        "classification": Classification(*asked, multi_label=True),
        "tagging": Tagging(CLASSES),
        "generation": Generation(),
        "regression": Regression((), ("image", "text")),
    }


def task(kind: str) -> Task:
    sets = {"multi_label": True} if kind == "classification" else {}
    said = json.dumps({"kind": kind, "label": "x", **sets})
    return loading.parse(f"{{modalities: {{text: }}, tasks: {{t: {said}}}}}").tasks["t"]


SERVED = {
    "kind/label": np.array([b"dog"], object),
    "kind/score": np.array([0.75], np.float32),
    "kind/distribution": LIKELY[None],
    "names/label": np.array([[b"person", b""]], object),
    "names/start": np.array([[4, -1]]),
    "names/end": np.array([[7, -1]]),
    "names/span_score": np.array([[0.5, 0.0]], np.float32),
    "names/score": np.array([0.25], np.float32),
}


@pytest.mark.parametrize(
    ("name", "column", "answer"),
    [
        ("kind", Classification(CLASSES), Prediction("dog", 0.75, LIKELY)),
        ("names", Tagging(), Tagged((ScoredSpan(4, 7, "person", 0.5),), 0.25)),
    ],
    ids=["classes", "spans"],
)
def test_served_and_published_values_are_compared_in_one_form(
    name: str, column: ScoreColumn, answer: Any
) -> None:
    (value,) = column.encode([answer]).to_pylist()
    published = column.published(value)
    served = column.served(name, SERVED, 0, RECORD)
    assert published.keys() == served.keys()
    for part, found in published.items():
        np.testing.assert_array_equal(found, served[part])
