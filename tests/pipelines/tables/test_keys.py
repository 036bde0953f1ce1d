"""Keys and timestamps of rows from the composite `Score`, which batch and stream share."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from tests.media import corrupt_png
from tests.scores import rejected
from triad_ml.model.serving import bundle
from triad_ml.model.serving.scorer import ScorerHandler
from triad_ml.pipelines.runners import beam_options
from triad_ml.pipelines.scoring.score import Score
from triad_ml.pipelines.tables.keys import Key, KeyRejected, keyed
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import Position, RawRecord, Reason, Rejected, Scored

TIME = 1_700_000_000_123
OF_THE_SETTINGS = "5" * 64

_given: list[tuple[Timestamp, Key, Scored | Rejected]] = []


def note(pair: Any, timestamp: Any = beam.DoFn.TimestampParam) -> None:
    _given.append((timestamp, *pair))


def records(*, event_time: int | None) -> list[RawRecord]:
    """A good record, one without media, and one whose only picture the model cannot read."""
    media: list[dict[str, Any]] = [{"text": b"a red bird"}, {}, {"image": corrupt_png()}]
    return [
        RawRecord(f"r{place}", Position("in", place, event_time=event_time), **given)
        for place, given in enumerate(media)
    ]


def run(model: bundle.Artefact, given: Iterable[RawRecord]) -> list[Any]:
    """What the composite gives, by id: time, key, row."""
    _given.clear()
    score = Score(
        Canonicalizer(model.spec, check=False), ScorerHandler(str(model.folder)), OF_THE_SETTINGS
    )
    with beam.Pipeline(options=beam_options.beam_options()) as root:
        scores = root | beam.Create(list(given), reshuffle=False) | score
        rows = (scores.scored, scores.rejected) | beam.Flatten()
        _ = rows | beam.Map(note)
    return sorted(_given, key=lambda one: one[1])


@pytest.fixture(scope="module")
def model(trained: Path) -> bundle.Artefact:
    return bundle.load(trained)


@pytest.fixture(scope="module")
def timed(model: bundle.Artefact) -> list[Any]:
    return run(model, records(event_time=TIME))


def test_the_key_names_the_model_that_made_the_row_else_that_of_the_settings(model, timed):
    assert [(key, type(row), row.model_digest) for _, key, row in timed] == [
        (Key("r0", model.model_digest), Scored, model.model_digest),
        (Key("r1", OF_THE_SETTINGS), Rejected, ""),
        (Key("r2", model.model_digest), Rejected, model.model_digest),
    ]
    assert [row.reason for _, _, row in timed[1:]] == [Reason.EMPTY, Reason.UNREADABLE]


def test_rows_stand_at_the_event_time_of_their_record(timed):
    assert {time for time, _, _ in timed} == {Timestamp(micros=1000 * TIME)}


def test_without_event_times_the_rows_are_the_same(model, timed):
    untimed = run(model, records(event_time=None))
    assert [plain(key, row) for _, key, row in untimed] == [plain(k, r) for _, k, r in timed]


def plain(key: Key, row: Scored | Rejected) -> dict[str, Any]:
    """A row as plain values, bit for bit, without its time."""
    fields = dataclasses.asdict(row) | {"key": key}
    fields["position"]["event_time"] = None
    for said in fields.get("predictions", {}).values():
        said["distribution"] = said["distribution"].tobytes()
    return fields


def test_what_a_source_refuses_has_such_a_key_and_time_too(model):
    refused = dataclasses.replace(rejected("r9"), position=Position("in", 9, event_time=TIME))
    _given.clear()
    with beam.Pipeline(options=beam_options.beam_options()) as root:
        keyed_ = root | beam.Create([refused], reshuffle=False) | KeyRejected(OF_THE_SETTINGS)
        _ = keyed_ | beam.Map(note)
    assert _given == [(Timestamp(micros=1000 * TIME), Key("r9", OF_THE_SETTINGS), refused)]


def test_without_an_event_time_the_timestamp_is_left_as_it_is():
    assert keyed(rejected("r"), "m") == (Key("r", "m"), rejected("r"))


def test_a_time_before_1970_is_kept():
    row = dataclasses.replace(rejected("r"), position=Position("in", 0, event_time=-1))
    assert keyed(row, "m") == TimestampedValue((Key("r", "m"), row), -0.001)
