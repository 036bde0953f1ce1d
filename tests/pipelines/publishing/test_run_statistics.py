"""Statistics of a run: those of its published scores, and of the measures of its units."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests import scores
from tests.scores import Work
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.publishing.sealing.run_statistics import RunStatistics
from triad_ml.pipelines.tables.columns import Classification, Generation, Regression, Tagging
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.records.values import Number, Prediction, ScoredSpan, Tagged, Text
from triad_ml.transforms.statistics import document

MEASURES = {"image.brightness": 0.25, "text.script": "latin"}
FIRST = dataclasses.replace(scores.scored("a", 10), measures=MEASURES)
WORKS = (
    Work([FIRST, scores.scored("b", 20)], [scores.rejected("z", 30)]),
    Work(
        [
            scores.scored("c", 0, unit=1, issues=("audio: truncated",)),
            scores.scored("a", 5, unit=1),  # later than the first unit's
        ]
    ),
)


def statistics_of(run: RunFolder) -> document.Statistics:
    return document.parse(Path(run.statistics).read_bytes(), "statistics")


def parts_of(run: RunFolder) -> dict[str, bytes]:
    found = Path(run.folder).rglob("part-*")
    return {str(path.relative_to(run.folder)): path.read_bytes() for path in found}


def test_a_run_has_the_statistics_of_its_published_scores(tmp_path):
    run = scores.run_folder(tmp_path)
    manifest = scores.score(run, WORKS)
    content = Path(run.statistics).read_bytes()
    assert manifest.statistics is not None
    assert manifest.statistics.path == "statistics.json"
    assert manifest.statistics.rows == 3
    assert manifest.statistics.holds(content)

    found = statistics_of(run)
    assert found.spec_digest == scores.PROVENANCE.spec
    (part,) = found.splits.values()
    assert (part.records, part.sampled) == (3, 1)
    rows = [FIRST, WORKS[0].scored[1], WORKS[1].scored[0]]
    categories = [row.predictions["category"] for row in rows]
    labels = [prediction.label for prediction in categories]
    shown = part.categorical["score.category"].counts
    assert shown == {label: labels.count(label) for label in sorted(set(labels), key=labels.index)}
    confidence = part.numeric["score.category.confidence"]
    values = [prediction.score for prediction in categories]
    assert confidence.mean == pytest.approx(np.mean(values), abs=1e-6)
    edges = [-np.inf, *confidence.edges, np.inf]
    assert confidence.counts == tuple(np.histogram(values, edges)[0])
    entropies = [
        -sum(p * np.log(p) for p in prediction.distribution) / np.log(3)
        for prediction in categories
    ]
    entropy = part.numeric["score.category.entropy"]
    assert entropy.mean == pytest.approx(np.mean(entropies), abs=1e-6)


def test_media_are_counted_as_present_missing_or_flawed_and_measured_in_the_sample(tmp_path):
    run = scores.run_folder(tmp_path)
    scores.score(run, WORKS)
    (part,) = statistics_of(run).splits.values()
    states = {name: part.categorical[f"{name}.state"].counts for name in ("image", "audio", "text")}
    assert states == {
        "image": {"present": 3},
        "audio": {"missing": 2, "truncated": 1},
        "text": {"present": 3},
    }
    assert part.categorical["text.script"].counts == {"latin": 1}
    assert part.numeric["image.brightness"].mean == 0.25


def test_each_kind_of_task_has_measures_of_its_own(tmp_path):
    columns = {
        "names": Tagging(("person",)),
        "answer": Generation(),
        "price": Regression(),
        "topics": Classification(("art", "food"), multi_label=True),
    }
    settings = ScoreSchema(columns, scores.PROVENANCE)
    spans = (ScoredSpan(0, 3, "person", 0.5), ScoredSpan(5, 6, "person", 0.5))
    sure = np.array([0.5, 1.0], np.float32)
    rows = [
        dataclasses.replace(
            scores.scored(name),
            predictions={
                "names": Tagged(spans[:count], 0.5),
                "answer": Text("ab" * count, 0.25),
                "price": Number(-1.5),
                "topics": Prediction(("art", "food")[:count], 1.0, sure),
            },
        )
        for name, count in (("a", 0), ("b", 2))
    ]
    table = settings.score_table(rows)
    counted = RunStatistics(settings)
    counted.add(table, table)
    counted.add(table[:0], table[:0])
    run = scores.run_folder(tmp_path)
    counted.write(run, {"image": 2}, {})
    (part,) = statistics_of(run).splits.values()
    means = {name: one.mean for name, one in part.numeric.items()}
    assert means == {
        "score.answer.characters": 2,
        "score.answer.confidence": 0.25,
        "score.names.confidence": 0.5,
        "score.names.spans": 1,
        "score.price.value": -1.5,
        "score.topics.confidence": 1,
        "score.topics.entropy": 0.5,
    }
    named = {name: one.counts for name, one in part.categorical.items() if name.startswith("score")}
    assert named == {"score.names": {"person": 2}, "score.topics": {"art": 1, "food": 1}}


def test_measures_change_no_published_byte(tmp_path):
    plain = [
        dataclasses.replace(
            work, scored=[dataclasses.replace(one, measures={}) for one in work.scored]
        )
        for work in WORKS
    ]
    with_measures, without = (scores.run_folder(tmp_path / name) for name in ("with", "without"))
    scores.score(with_measures, WORKS)
    scores.score(without, plain)
    assert parts_of(with_measures) == parts_of(without)
    assert len(parts_of(without)) == 4
