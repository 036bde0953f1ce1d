"""`triad_ml.Score` in users' own pipelines: rows with a schema, and a run's scores bit for bit."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from examples import own_beam_pipeline
from triad_ml.model.serving import bundle
from triad_ml.pipelines.publishing import reading
from triad_ml.pipelines.scoring import row_schema
from triad_ml.pipelines.scoring.score_rows import ScoreRows
from triad_ml.pipelines.sources.read_files import ReadFiles
from triad_ml.pipelines.tables import schema
from triad_ml.transforms.records.values import Position, Prediction, Scored

REFUSED = [("broken", "unreadable"), ("empty", "empty"), ("memory://rows/row#0", "invalid_id")]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def expected(published: Path) -> list[str]:
    """The published rows as `line` gives them, with what passes through in one column."""
    found = reading.read_scores(str(published)).to_pylist()
    for row in found:
        row["category"]["distribution"] = dict(row["category"]["distribution"])
        row["other_fields"] = json.dumps({"source": row.pop("source")})
    return [json.dumps(row) for row in found]


def line(row: Any) -> str:
    return json.dumps(own_beam_pipeline.plain(row))


def as_beam_row(row: dict[str, Any]) -> Any:
    return beam.Row(**{k: beam.Row(**v) if isinstance(v, dict) else v for k, v in row.items()})


@pytest.mark.parametrize("form", [dict, as_beam_row])
def test_rows_give_the_scores_of_a_run_bit_for_bit(
    mixed, published, trained, form: Callable[[dict[str, Any]], Any]
):
    with beam.Pipeline("FnApiRunner") as root:
        given = root | beam.Create(rows(mixed)) | "Form" >> beam.Map(form)
        scores = given | ScoreRows.from_model(str(trained), media_roots=[str(mixed.parent)])
        assert_that(scores.scored | beam.Map(line), equal_to(expected(published)))
        refused = scores.rejected | "Why" >> beam.Map(lambda row: (row.id, row.reason))
        assert_that(refused, equal_to(REFUSED), label="rejected")


def test_files_give_them_too_and_what_could_not_be_read_is_rejected(mixed, published, trained):
    with beam.Pipeline("FnApiRunner") as root:
        read = root | ReadFiles([str(mixed)], labels=["category"])
        outcomes = (read.records, read.rejected) | beam.Flatten()
        scores = outcomes | ScoreRows.from_model(str(trained))
        assert_that(scores.scored | beam.Map(line), equal_to(expected(published)))
        refused = scores.rejected | "Why" >> beam.Map(lambda row: (row.stage, row.reason))
        reasons = [("read", "invalid_id"), ("canonicalize", "empty")]
        wanted = [*reasons, ("canonicalize", "unreadable")]
        assert_that(refused, equal_to(wanted), label="rejected")


def test_rows_keep_their_times_and_windows(trained):
    def placed(
        row: Any, time: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> tuple[str, float, float]:
        return row.id, float(time), float(window.end)

    with beam.Pipeline("FnApiRunner") as root:
        given = root | beam.Create([("a", 3, "x"), ("b", 14, ""), ("c", 25, "y")])
        timed = given | beam.MapTuple(
            lambda name, time, text: TimestampedValue({"id": name, "text": text}, time)
        )
        windowed = timed | beam.WindowInto(FixedWindows(10))
        scores = windowed | ScoreRows.from_model(str(trained))
        scored = scores.scored | "Scored" >> beam.Map(placed)
        rejected = scores.rejected | "Rejected" >> beam.Map(placed)
        assert_that(scored, equal_to([("a", 3, 10), ("c", 25, 30)]))
        assert_that(rejected, equal_to([("b", 14, 20)]), label="rejected")


def test_a_consumer_of_batches_gets_every_row(mixed, published, trained, tmp_path):
    with beam.Pipeline("FnApiRunner") as root:
        given = root | beam.Create(rows(mixed))
        scores = given | ScoreRows.from_model(str(trained), media_roots=[str(mixed.parent)])
        _ = scores.scored | "WriteScored" >> beam.io.WriteToParquet(f"{tmp_path}/scored")
        _ = scores.rejected | "WriteRejected" >> beam.io.WriteToParquet(f"{tmp_path}/rejected")
    written = {
        name: pa.concat_tables([pq.read_table(path) for path in tmp_path.glob(f"{name}-*")])
        for name in ("scored", "rejected")
    }
    ids = reading.read_scores(str(published)).column("id").to_pylist()
    assert sorted(written["scored"].column("id").to_pylist()) == sorted(ids)
    assert sorted(written["rejected"].column("id").to_pylist()) == [name for name, _ in REFUSED]


def test_the_schema_has_the_columns_of_published_scores(trained):
    settings = schema.score_schema(bundle.load(trained), "parquet", explain=True)
    kinds = row_schema.scored_type(settings)._fields
    names = settings.score_table([]).schema.names
    assert [name for name, _ in kinds] == [*names, "other_fields"]
    assert [name for name, _ in dict(kinds)["category"]._fields] == [
        *("label", "score", "distribution", "explanation")
    ]


def test_nested_rows_survive_a_pickle(trained):
    settings = schema.score_schema(bundle.load(trained), "parquet")
    distribution = np.full(4, 0.25, np.float32)
    scored = Scored("a", Position("f", 0), {"category": Prediction("fan", 0.25, distribution)}, ())
    (row,) = row_schema.scored_rows([scored], settings)
    assert pickle.loads(pickle.dumps(row.category)) == row.category
    assert row.category._fields == ("label", "score", "distribution")


def test_explanations_are_nested_rows(trained):
    with beam.Pipeline("FnApiRunner") as root:
        given = root | beam.Create([{"id": "a", "text": "a fan"}])
        scores = given | ScoreRows.from_model(str(trained), explain=True)
        shares = scores.scored | beam.Map(lambda row: row.category.explanation.image)
        assert_that(shares, equal_to([0.0]))
