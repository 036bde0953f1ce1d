"""Generation from end to end: published texts equal those of the model."""

import json
import random
from collections import Counter
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
from triad_ml.transforms.features import subwords
from triad_ml.transforms.labels import classes
from triad_ml.transforms.media import text
from triad_ml.transforms.spec.modalities import Limits
from triad_ml.transforms.targets import texts

SPEC = """
modalities: {text: {vocabulary: 60, length: 10}}
tasks:
  meaning: {kind: generation, label: meaning, vocabulary: 60, length: 14, beam: 2}
  verb: {kind: classification, label: verb}
model: {recipe: network, dim: 32, text_dim: 24, dropout: 0.1}
training: {epochs: 14, batch_size: 16, learning_rate: 0.01}
split: {by: id, train: 0.7, eval: 0.1, test: 0.2}
"""
FIRST, SECOND = "2026-11-23", "2026-11-24"
VERBS = ("play", "find", "stop")

Row = dict[str, Any]


def name(rng: random.Random) -> str:
    """A name that no other record has; one in four is not canonical."""
    letters = "".join(rng.choice("abcdefgh") for _ in range(5))
    return letters.capitalize() + rng.choice(("", "", "", "e\u0301"))


def command(rng: random.Random, index: int) -> Row:
    verb, song = rng.choice(VERBS), name(rng)
    meaning = f'{verb.capitalize()}(song="{song}")' if index % 9 else f"{verb.capitalize()}()"
    words = f"please {verb} {song} now" if index % 9 else f"please {verb}"
    return {
        "id": f"r{index:03d}",
        "text": words,
        "labels": {"meaning": meaning, "verb": verb},
        "split": "train" if index % 4 else "test",
    }


ODD = [
    {"id": "no label", "text": "please play Abcde now"},
    {"id": "bad label", "text": "please play Abcde now", "labels": {"meaning": 3}},
    {"id": "long label", "text": "please", "labels": {"meaning": "a b c d " * 9}, "split": "train"},
    {"id": "no words", "text": " \u200b ", "labels": {"meaning": "x"}, "split": "test"},
    {"id": "gone", "labels": {"meaning": "x"}},
]


class Trained(NamedTuple):
    input: Path
    data: Path
    model: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("generation")
    rng = random.Random(0)
    made = [*(command(rng, index) for index in range(240)), *ODD]
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


@pytest.fixture(scope="module")
def published(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    return scored(trained, tmp_path_factory.mktemp("published"))


def test_texts_are_counted_and_pieces_are_those_of_the_training_split(trained):
    """They are what plain Python learns from these labels, whatever the runner."""
    manifest = json.loads((trained.data / "manifest.json").read_text())
    assert manifest["alignment"] == {"meaning": {"texts": 242, "cut": 1}}
    assert manifest["unnamed"] == {"meaning": 1}
    rows = map(json.loads, trained.input.read_text().splitlines())
    known = [
        classes.target_text(row["labels"]["meaning"]) for row in rows if row.get("split") == "train"
    ]
    words = texts.spaced_words(tf.constant(known)).flat_values.numpy().tolist()
    counts = Counter(word.decode() for word in words)
    assert tuple(manifest["classes"]["meaning"]) == subwords.learn(counts, size=60)


def test_what_was_learned_is_right_for_names_that_training_never_saw(trained, published):
    about = json.loads((trained.model / "triad.json").read_text())
    found = about["metrics"]["test"]["meaning"]
    assert found["accuracy"] > 0.7
    assert found["chrf"] > 0.7
    rows = map(json.loads, trained.input.read_text().splitlines())
    wanted = {r["id"]: r["labels"]["meaning"] for r in rows if r.get("split") == "test"}
    right = [
        published[i]["meaning"]["text"] == text.canonical(label.encode(), Limits()).decode()
        for i, label in wanted.items()
    ]
    assert sum(right) / len(right) == pytest.approx(found["accuracy"])


def test_rows_equal_the_saved_model_in_plain_tensorflow(trained, published):
    loaded = tf.saved_model.load(str(trained.model / "saved_model"))
    size = bundle.load(trained.model).batch_size
    rows = {row["id"]: row for row in map(json.loads, trained.input.read_text().splitlines())}
    ids = list(published)
    for first in range(0, len(ids), size):
        batch = ids[first : first + size]
        kept = [text.canonical(rows[i]["text"].encode(), Limits()) for i in batch]
        outputs = loaded.signatures["serving_default"](
            text=tf.constant(kept + [b""] * (size - len(batch)))
        )
        for row, record_id in enumerate(batch):
            assert published[record_id]["meaning"] == {
                "text": outputs["meaning/text"].numpy()[row].decode(),
                "score": float(outputs["meaning/score"].numpy()[row]),
            }


def test_a_score_is_a_probability_and_a_record_without_words_is_scored(published):
    scores = np.array([row["meaning"]["score"] for row in published.values()])
    assert ((scores > 0) & (scores <= 1)).all()
    assert published.keys() >= {"no label", "bad label", "no words"}
    assert "gone" not in published
    assert published["no label"]["meaning"] == published["bad label"]["meaning"]


def test_all_ways_are_the_same(trained, capsys):
    assert verification_run.parity(
        ParityConfig(str(trained.model), (str(trained.input),), tolerance=0.0)
    )
    found = shown(capsys.readouterr().out)
    names = {"text", "text_surface", "units_meaning", "meaning/text", "meaning/score"}
    assert found.keys() >= names
    assert {tuple(row) for row in found.values()} == {("244", "0", "0", "equal")}


def test_jsonl_and_carried_over_rows_hold_the_same(trained, published, tmp_path):
    first = scored(trained, tmp_path, FIRST, format="jsonl")
    assert {i: row["meaning"] for i, row in first.items()} == {
        i: row["meaning"] for i, row in published.items()
    }
    assert scored(trained, tmp_path, SECOND, format="jsonl", carry_over=True) == first
    manifest = publish.current(str(tmp_path), SECOND)
    assert manifest is not None
    assert manifest.about["carried_over_from"]["date"] == FIRST
    assert dict(manifest.classes)["meaning"] == ()


def test_the_report_shows_figures_of_texts_and_examples(trained, tmp_path):
    output = tmp_path / "scores"
    scored(trained, output)
    page = report_page.write(
        trained.model, str(output), None, [str(trained.input)], tmp_path / "r.html", saliency=1
    )
    content = Path(page).read_text()
    assert content.count('class="why-so"') == 1  # of the classes; texts have no such grounds
    for words in ("exact match", "chrF", "BLEU", "1 of 242", "Play(song="):
        assert words in content
