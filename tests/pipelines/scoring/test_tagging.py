"""Tagging from end to end: published values equal plain computation."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from tests import records
from tests.printed import shown
from triad_ml.model.serving import bundle
from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.report import page as report_page
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.tables import formats
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.pipelines.verification import run as verification_run
from triad_ml.pipelines.verification.config import ParityConfig
from triad_ml.transforms.media import text
from triad_ml.transforms.spec.modalities import Limits

SPEC = """
modalities: {text: {vocabulary: 60, length: 8, spelling: 64}}
tasks:
  names: {kind: tagging, label: names}
  predicates: {kind: tagging, label: predicates, tokens: tokens}
  roles: {kind: tagging, label: roles, tokens: tokens, marker: at}
  verb: {kind: classification, label: verb}
model: {recipe: network, dim: 16, text_dim: 16, dropout: 0.1}
training: {epochs: 8, batch_size: 8, learning_rate: 0.01}
split: {by: id, train: 0.7, eval: 0.1, test: 0.2}
"""
FIRST, SECOND = "2026-11-23", "2026-11-24"
PEOPLE, PLACES = ("Ada", "Bob", "Zoe\u0308"), ("New York", "Rome", "S\u00e3o Paulo")
VERBS = ("sees", "likes", "leaves")
BELL = "\x07"
TASKS = ("names", "predicates", "roles")

Row = dict[str, Any]


def sentence(rng: random.Random, index: int) -> Row:
    """One record: its text is not always canonical, and its labels are spans or BIO tags."""
    person, place, verb = rng.choice(PEOPLE), rng.choice(PLACES), rng.choice(VERBS)
    whole = BELL * (index % 2) + f"Today {person} {verb} {place}"
    whole += " for good, as all of us know." * (index % 9 == 0)
    begin, end = whole.index(place), whole.index(place) + len(place)
    who = whole.index(person)
    tokens = whole.replace(BELL, "").split()
    at = tokens.index(verb)
    roles = ["O"] * len(tokens)
    roles[1] = "B-who"
    roles[at + 1 : at + 1 + len(place.split())] = ["B-what", "I-what"][: len(place.split())]
    return {
        "id": f"r{index:03d}",
        "text": whole,
        "labels": {
            "names": [[who, who + len(person), "person"], [begin, end, "place"]],
            "predicates": ["B-V" if i == at else "O" for i in range(len(tokens))],
            "roles": roles,
            "tokens": tokens,
            "at": at if index % 3 else [whole.index(verb), whole.index(verb) + len(verb)],
            "verb": verb,
        },
    }


def odd_records() -> list[Row]:
    """Records without a marker, with a bad one, with bad labels, without words and with one."""
    return [
        {"id": "no marker", "text": "Today Ada sees Rome"},
        {"id": "bad marker", "text": "Today Ada sees Rome", "labels": {"at": 99}},
        {"id": "far marker", "text": "a b c d e f g h i j", "labels": {"at": 9}},
        {"id": "bad label", "text": "Today", "labels": {"names": [[3, 99, "x"]], "verb": "sees"}},
        {"id": "no words", "text": " \u200b ", "labels": {"names": [], "at": [0, 1]}},
        {"id": "one word", "text": "Ada"},
        {"id": "gone"},
    ]


class Trained(NamedTuple):
    input: Path
    data: Path
    model: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("tagging")
    rng = random.Random(0)
    made = [*(sentence(rng, index) for index in range(100)), *odd_records()]
    path = records.write_lines(folder / "records.jsonl", made)
    (folder / "spec.yaml").write_text(SPEC)
    data, model = folder / "data", folder / "model"
    preprocessing_run.run(
        PreprocessConfig(str(folder / "spec.yaml"), (str(path),), str(data), rejected_limit=0.1)
    )
    training_run.run(TrainConfig(str(data), str(model)))
    return Trained(path, data, model)


def scored(trained: Trained, output: Path, date: str = FIRST, **more: Any) -> dict[str, Row]:
    config = ScoreConfig(
        str(trained.model), (str(trained.input),), str(output), date, rejected_limit=0.1, **more
    )
    scoring_run.run(config)
    paths = publish.open_current(str(output), date)
    return {row["id"]: row for path in paths for row in formats.read(path).to_pylist()}


def given(path: Path) -> dict[str, Row]:
    return {row["id"]: row for row in map(json.loads, path.read_text().splitlines())}


@pytest.fixture(scope="module")
def published(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    return scored(trained, tmp_path_factory.mktemp("published"))


def test_labels_are_counted_as_they_were_aligned(trained):
    manifest = json.loads((trained.data / "manifest.json").read_text())
    assert sorted(manifest["classes"]["roles"]) == ["what", "who"]
    assert manifest["alignment"]["names"] == {"spans": 200, "cut": 0, "misaligned": 0}
    assert manifest["alignment"]["predicates"] == {"spans": 100, "cut": 0, "misaligned": 0}
    assert manifest["unnamed"] == {"names": 1}
    assert manifest["counts"]["rejected"] == 1


def test_a_row_has_spans_in_the_callers_characters(trained, published):
    rows = given(trained.input)
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


def test_what_was_learned_is_right(trained, published):
    about = json.loads((trained.model / "triad.json").read_text())
    for task in TASKS:
        assert about["metrics"]["test"][task]["entity_f1"] > 0.8
    rows = given(trained.input)
    names = [
        (
            rows[i]["labels"]["names"],
            [[s["start"], s["end"], s["label"]] for s in r["names"]["spans"]],
        )
        for i, r in published.items()
        if i.startswith("r")
    ]
    assert sum(label == said for label, said in names) > 80


def test_rows_equal_plain_computation(trained, published):
    """The SavedModel in plain TensorFlow, and positions moved by reading the text anew."""
    signature = tf.saved_model.load(str(trained.model / "saved_model")).signatures[
        "serving_default"
    ]
    size = bundle.load(trained.model).batch_size
    rows = given(trained.input)
    ids = list(published)
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


def test_without_a_marker_there_are_no_roles_and_a_bad_one_is_an_issue(published):
    for record_id in ("no marker", "bad marker", "far marker", "no words", "one word"):
        assert published[record_id]["roles"] == {"spans": [], "score": 1.0}
    issues = {i: row["issues"] for i, row in published.items() if row["issues"]}
    assert issues == {"bad marker": ["marker: corrupt"]}
    assert published["no words"]["names"] == {"spans": [], "score": 1.0}
    assert "gone" not in published


def test_all_ways_are_the_same(trained, capsys):
    assert verification_run.parity(
        ParityConfig(str(trained.model), (str(trained.input),), tolerance=0.0)
    )
    found = shown(capsys.readouterr().out)
    names = {f"{task}/{part}" for task in TASKS for part in ("spans", "score", "span_score")}
    assert found.keys() >= {"text", "text_start", "text_end", "marker_roles", *names}
    assert {tuple(row) for row in found.values()} == {("106", "0", "0", "equal")}


def test_jsonl_and_carried_over_rows_hold_the_same(trained, published, tmp_path):
    first = scored(trained, tmp_path, FIRST, format="jsonl")
    assert {i: row["names"] for i, row in first.items()} == {
        i: row["names"] for i, row in published.items()
    }
    carried = scored(trained, tmp_path, SECOND, format="jsonl", carry_over=True)
    assert carried == first
    manifest = publish.current(str(tmp_path), SECOND)
    assert manifest is not None
    assert manifest.about["carried_over_from"]["date"] == FIRST


def test_a_text_that_is_written_another_way_is_not_carried_over(trained, tmp_path):
    """Its canonical text is the same, and its places are not."""
    composed = {"id": "a", "text": "Today Zo\u00eb sees Rome"}
    apart = {"id": "a", "text": "Today Zoe\u0308 sees Rome"}
    rows = []
    for date, record in ((FIRST, composed), (SECOND, apart)):
        path = records.write_lines(tmp_path / date / "records.jsonl", [record])
        own = trained._replace(input=path)
        rows.append(scored(own, tmp_path / "scores", date, carry_over=True)["a"])
    before, after = (row["names"]["spans"] for row in rows)
    assert [s["label"] for s in before] == [s["label"] for s in after] == ["person", "place"]
    assert [(s["start"], s["end"]) for s in before] == [(6, 9), (15, 19)]
    assert [(s["start"], s["end"]) for s in after] == [(6, 10), (16, 20)]


def test_a_text_without_marker_is_analysed_in_two_passes(trained, tmp_path):
    """The predicates that the first pass finds are the markers of the second."""
    path = records.write_lines(
        tmp_path / "first.jsonl", [{"id": "a", "text": "Today Bob likes New York"}]
    )
    found = scored(trained._replace(input=path), tmp_path / "first")["a"]["predicates"]["spans"]
    assert [(span["start"], span["end"]) for span in found] == [(10, 15)]
    marked = [
        {
            "id": f"a/{place}",
            "text": "Today Bob likes New York",
            "labels": {"at": [s["start"], s["end"]]},
        }
        for place, s in enumerate(found)
    ]
    path = records.write_lines(tmp_path / "second.jsonl", marked)
    rows = scored(trained._replace(input=path), tmp_path / "second")
    roles = {s["label"]: (s["start"], s["end"]) for s in rows["a/0"]["roles"]["spans"]}
    assert roles == {"who": (6, 9), "what": (16, 24)}


def test_the_report_shows_figures_of_spans(trained, tmp_path):
    output = tmp_path / "scores"
    scored(trained, output)
    page = Path(
        report_page.write(
            trained.model, str(output), None, [str(trained.input)], tmp_path / "r.html"
        )
    )
    shown_page = page.read_text()
    for words in ("entity F1", "all spans right", "labelled spans", "0 of 200", "0 of 100"):
        assert words in shown_page
