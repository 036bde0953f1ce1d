"""Unbounded graph without source or sink: one row for each message, at the message's time."""

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.transforms.window import TimestampedValue

from triad_ml.model.serving import bundle
from triad_ml.model.serving.scorer import ScorerHandler
from triad_ml.pipelines.runners import beam_options
from triad_ml.pipelines.scoring.score import Score
from triad_ml.pipelines.streaming import unbounded
from triad_ml.pipelines.streaming.messages.parser import Message, Parser
from triad_ml.pipelines.tables import schema
from triad_ml.pipelines.tables.keys import Key
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import Reason, Rejected, Scored

TIME = 1_700_000_000_123

_given: list[tuple[float, Key, Scored | Rejected]] = []


def note(pair: Any, timestamp: Any = beam.DoFn.TimestampParam) -> None:
    _given.append((timestamp.micros // 1000, *pair))


def message(offset: int, time: int | None, **fields: Any) -> Message:
    value = json.dumps(fields).encode() if fields else b"no record"
    return Message("log://a/b", "b", 3, offset, value, time=time)


@pytest.fixture(scope="module")
def model(trained: Path) -> bundle.Artefact:
    return bundle.load(trained)


def run(model: bundle.Artefact, given: list[Any]) -> list[Any]:
    """What the graph gives: time, key and row, in the order of positions."""
    _given.clear()
    settings = schema.score_schema(model, "parquet")
    score = Score(
        Canonicalizer(model.spec, check=False),
        ScorerHandler(str(model.folder)),
        settings.provenance.model,
    )
    with beam.Pipeline(options=beam_options.beam_options()) as root:
        messages = root | beam.Create(given, reshuffle=False)
        scores = unbounded.define_pipeline(messages, Parser(), score, settings)
        _ = (scores.scored, scores.rejected) | beam.Flatten() | beam.Map(note)
    return sorted(_given, key=lambda one: one[2].position.offset)


def test_each_message_gives_one_row_under_its_key_at_its_own_time(model):
    digest = schema.score_schema(model, "parquet").provenance.model
    given = [
        message(0, TIME, id="a", text="a red bird"),
        message(1, TIME + 1),
        message(2, TIME + 2, id="c"),
        message(3, TIME + 3, text="a blue bird"),
    ]
    found = run(model, given)
    assert [(time, key.record_id) for time, key, _ in found] == [
        (TIME, "a"),
        (TIME + 1, "log://a/b/3#1"),
        (TIME + 2, "c"),
        (TIME + 3, "b-3-3"),
    ]
    assert {key.model_digest for _, key, _ in found} == {digest}
    assert [type(row) for _, _, row in found] == [Scored, Rejected, Rejected, Scored]
    assert [row.reason for _, _, row in found if isinstance(row, Rejected)] == [
        Reason.UNPARSABLE,
        Reason.EMPTY,
    ]


def test_rows_stand_at_the_time_of_their_message_and_have_none_where_it_has_none(model):
    given = [
        TimestampedValue(message(0, None, id="a", text="a bird"), TIME / 1000),
        TimestampedValue(message(1, None), TIME / 1000),
        TimestampedValue(message(2, TIME + 7), 0),
    ]
    found = run(model, given)
    assert [row.position.event_time for _, _, row in found] == [None, None, TIME + 7]
    assert found[-1][0] == TIME + 7
