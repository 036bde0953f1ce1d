"""Metrics of generated texts equal those of sacrebleu; undefined figures are None."""

import json

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from triad_ml.model.evaluation import document
from triad_ml.model.tasks.generation.metrics import Written, generation
from triad_ml.transforms.spec.tasks import GenerationTask

TASK = GenerationTask(kind="generation", label="t")


def written(*texts: str, score: float = 0.5) -> Written:
    made = np.array([text.encode() for text in texts], object)
    return Written(made, np.full(len(texts), score, np.float32))


def test_figures_are_those_of_sacrebleu():
    wanted = ["a green frog sits here", "two small boats on the sea", "a cat", "no"]
    said = ["a green frog sat here", "two small boats on the sea", "a dog", "no"]
    found = generation([w.encode() for w in wanted], written(*said))
    assert found["n"] == 4
    assert found["accuracy"]["value"] == 0.5
    assert found["chrf"]["value"] == pytest.approx(CHRF().corpus_score(said, [wanted]).score / 100)
    assert found["bleu"]["value"] == pytest.approx(BLEU().corpus_score(said, [wanted]).score / 100)
    for name in ("accuracy", "chrf", "bleu"):
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]


def test_records_without_a_label_are_left_out():
    found = generation([b"a cat", b"", b"a cat"], written("a cat", "a cat", "a dog"))
    assert (found["n"], found["accuracy"]["value"], found["majority"]) == (2, 0.5, 1.0)
    assert found["calibration"]["ece"] == 0.0


def test_without_any_label_nothing_is_defined():
    found = generation([b""], written("a"))
    assert (found["n"], found["majority"]) == (0, None)
    for name in ("accuracy", "chrf", "bleu"):
        assert found[name] == {"value": None, "low": None, "high": None}
    json.dumps(found, allow_nan=False)


def test_a_document_holds_texts_and_a_table_their_figures():
    said = written("a cat", "a dog")
    one = document.evaluate_task(
        TASK, ("a", "b"), [b"a cat", b"a frog"], said, {"text": said}, [True, False], resamples=20
    )
    assert (one["kind"], one["classes"]) == ("generation", [])
    assert one["as recorded"]["accuracy"]["value"] == 0.5
    assert one["subsets"]["text"]["n"] == 1
    shown = document.table(document.document({"test": {"words": one}}))
    assert [column.header for column in shown.columns][-2:] == ["chrF", "BLEU"]
