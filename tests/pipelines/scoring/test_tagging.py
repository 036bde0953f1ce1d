"""Tagging from end to end: published values equal plain computation."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests import records
from tests.pipelines.scoring.tasks_of_each_kind import BELL, FIRST, SECOND, Row, score
from triad_ml.model.serving import bundle
from triad_ml.pipelines.publishing import publish
from triad_ml.transforms.media import text
from triad_ml.transforms.spec.modalities import Limits

TASKS = ("names", "predicates", "roles")


def test_labels_are_counted_as_they_were_aligned(each_kind):
    manifest = json.loads((each_kind.data / "manifest.json").read_text())
    assert sorted(manifest["classes"]["roles"]) == ["what", "who"]
    assert manifest["alignment"]["names"] == {"spans": 200, "cut": 0, "misaligned": 0}
    assert manifest["alignment"]["predicates"] == {"spans": 100, "cut": 0, "misaligned": 0}
    assert manifest["unnamed"]["names"] == 1
    assert manifest["counts"]["rejected"] == 1


def test_a_row_has_spans_in_the_callers_characters(each_kind):
    rows, published = each_kind.records, each_kind.published
    found = 0
    for record_id, row in published.items():
        whole = rows[record_id]["text"]
        for task in TASKS:
            assert row[task].keys() == {"spans", "score"}
            assert 0 <= row[task]["score"] <= 1
            last = 0
            for span in row[task]["spans"]:
                assert last <= span["start"] < span["end"] <= len(whole)
                assert 0 < span["score"] <= 1
                last = span["end"]
                held = whole[span["start"] : span["end"]]
                assert held == held.strip(" " + BELL)
                assert not whole[: span["start"]][-1:].isalpha()
                assert not whole[span["end"] :][:1].isalpha()
                found += 1
    assert found > 200


def test_what_was_learned_is_right(each_kind):
    about = json.loads((each_kind.model / "triad.json").read_text())
    for task in TASKS:
        assert about["metrics"]["test"][task]["entity_f1"] > 0.8
    rows = each_kind.records
    names = [
        (
            rows[i]["labels"]["names"],
            [[s["start"], s["end"], s["label"]] for s in r["names"]["spans"]],
        )
        for i, r in each_kind.published.items()
        if i.startswith("s")
    ]
    assert sum(label == said for label, said in names) > 80


def test_rows_equal_plain_computation(each_kind):
    """The SavedModel in plain TensorFlow, and positions moved by reading the text anew."""
    signature = tf.saved_model.load(str(each_kind.model / "saved_model")).signatures[
        "serving_default"
    ]
    size = bundle.load(each_kind.model).batch_size
    rows, published = each_kind.records, each_kind.published
    others = {"meaning", "price"}
    ids = [one for one in published if not others & rows[one].get("labels", {}).keys()]
    assert len(ids) > 100
    for first in range(0, len(ids), size):
        batch = ids[first : first + size]
        kept = [text.canonical(rows[i]["text"].encode(), Limits()) for i in batch]
        marked = [
            canonical_marker(rows[i], one.decode()) for i, one in zip(batch, kept, strict=True)
        ]
        padding = size - len(batch)
        outputs = signature(
            text=tf.constant(kept + [b""] * padding),
            marker_roles=tf.constant(marked + [[-1, -1]] * padding, tf.int64),
        )
        arrays = {name: value.numpy() for name, value in outputs.items()}
        for row, record_id in enumerate(batch):
            for task in TASKS:
                assert published[record_id][task] == plain(
                    arrays, task, row, rows[record_id]["text"]
                )


def canonical_marker(row: Row, canonical: str) -> list[int]:
    at = row.get("labels", {}).get("at")
    if isinstance(at, list):
        removed = row["text"][: at[0]].count(BELL) + row["text"][: at[0]].count("\u0308")
        return [at[0] - removed, at[1] - removed]
    words = canonical.split()
    if at is None or at >= len(words):
        return [-1, -1]
    start = len(" ".join([*words[:at], ""]))
    return [start, start + len(words[at])]


def plain(arrays: Mapping[str, np.ndarray], task: str, row: int, whole: str) -> Row:
    """Moves places by counting: a bell is removed, and a diaeresis is joined to its letter."""
    outer = [i for i, c in enumerate(whole) if c not in "\x07\u0308"]
    spans = []
    for word, label in enumerate(arrays[f"{task}/label"][row]):
        if label:
            first = outer[int(arrays[f"{task}/start"][row, word])]
            last = outer[int(arrays[f"{task}/end"][row, word]) - 1] + 1
            last += whole[last : last + 1] == "\u0308"
            share = float(arrays[f"{task}/span_score"][row, word])
            spans.append({"start": first, "end": last, "label": label.decode(), "score": share})
    return {"spans": spans, "score": float(arrays[f"{task}/score"][row])}


def test_without_a_marker_there_are_no_roles_and_a_bad_one_is_an_issue(each_kind):
    published = each_kind.published
    for record_id in ("no marker", "bad marker", "far marker", "no word to tag", "one word"):
        assert published[record_id]["roles"] == {"spans": [], "score": 1.0}
    issues = {i: row["issues"] for i, row in published.items() if row["issues"]}
    assert issues == {"bad marker": ["marker: corrupt"]}
    assert published["no word to tag"]["names"] == {"spans": [], "score": 1.0}
    assert "gone" not in published


@pytest.fixture(scope="module")
def second(each_kind, tmp_path_factory) -> dict[str, Row]:
    """Rows of the next day: a text in another form, and one with each predicate as its marker."""
    output = Path(shutil.copytree(each_kind.output, tmp_path_factory.mktemp("second") / "scores"))
    unmarked = each_kind.records["unmarked"]["text"]
    spans = each_kind.published["unmarked"]["predicates"]["spans"]
    made = [
        {"id": "composed", "text": "Today Zoe\u0308 sees Rome"},
        each_kind.records["one word"],
        *(
            {"id": f"marked/{n}", "text": unmarked, "labels": {"at": [s["start"], s["end"]]}}
            for n, s in enumerate(spans)
        ),
    ]
    path = records.write_lines(output.parent / "records.jsonl", made)
    rows = score(each_kind.model, path, output, SECOND, carry_over=True)
    manifest = publish.current(str(output), SECOND)
    assert manifest is not None
    assert manifest.about["carried_over_from"]["date"] == FIRST
    assert rows["one word"] == each_kind.published["one word"]
    return rows


def test_a_text_that_is_written_another_way_is_not_carried_over(each_kind, second):
    """Its canonical text is the same, and its places are not."""
    before, after = (rows["composed"]["names"]["spans"] for rows in (each_kind.published, second))
    assert [s["label"] for s in before] == [s["label"] for s in after] == ["person", "place"]
    assert [(s["start"], s["end"]) for s in before] == [(6, 9), (15, 19)]
    assert [(s["start"], s["end"]) for s in after] == [(6, 10), (16, 20)]


def test_a_text_without_marker_is_analysed_in_two_passes(each_kind, second):
    """The predicates that the first pass finds are the markers of the second."""
    found = each_kind.published["unmarked"]["predicates"]["spans"]
    assert [(span["start"], span["end"]) for span in found] == [(10, 15)]
    roles = {s["label"]: (s["start"], s["end"]) for s in second["marked/0"]["roles"]["spans"]}
    assert roles == {"who": (6, 9), "what": (16, 24)}
