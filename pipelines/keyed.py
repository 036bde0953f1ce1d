"""Scores and rejected records by what makes them idempotent: record id and model digest."""

from typing import NamedTuple

import apache_beam as beam
from apache_beam.transforms.window import TimestampedValue
from apache_beam.typehints.decorators import no_annotations

from pipelines.score import Scores
from transforms.records import Rejected, Scored


class Key(NamedTuple):
    """Whoever keeps one row a key sees a row that is written twice only once."""

    record_id: str
    model_digest: str


class KeyedScores(NamedTuple):
    scored: beam.PCollection[tuple[Key, Scored]]
    rejected: beam.PCollection[tuple[Key, Rejected]]


class KeyScores(beam.PTransform):
    """`Scores` -> the same by key, with their event time where it is known.

    Args:
        model_digest: Of the model that scored.
    """

    def __init__(self, model_digest: str) -> None:
        super().__init__()
        self._model_digest = model_digest

    @no_annotations
    def expand(self, scores: Scores) -> KeyedScores:
        return KeyedScores(
            scores.scored | "KeyScored" >> beam.Map(self._keyed),
            scores.rejected | "KeyRejected" >> beam.Map(self._keyed),
        )

    @no_annotations
    def _keyed(self, row: Scored | Rejected) -> object:
        keyed = (Key(row.id, self._model_digest), row)
        time = row.position.event_time
        return keyed if time is None else TimestampedValue(keyed, time / 1000)
