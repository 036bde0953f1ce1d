"""Scores and rejected records by what makes them idempotent: record id and model digest."""

from typing import NamedTuple, TypeVar

import apache_beam as beam
from apache_beam.transforms.window import TimestampedValue
from apache_beam.typehints.decorators import no_annotations

from triad_ml.transforms.records.values import Rejected, Scored

_Row = TypeVar("_Row", Scored, Rejected)


class Key(NamedTuple):
    """Whoever keeps one row a key sees a row that is written twice only once."""

    record_id: str
    model_digest: str


def key_of(row: Scored | Rejected, model_digest: str) -> Key:
    """The key of a row; `model_digest` stands in that of a row that no model made."""
    return Key(row.id, row.model_digest or model_digest)


@no_annotations
def keyed(row: _Row, model_digest: str) -> tuple[Key, _Row] | TimestampedValue:
    """A row under its key, at its event time where that is known.

    Args:
        row: What became of a record.
        model_digest: Stands in the key of a row that no model made.
    """
    pair = (key_of(row, model_digest), row)
    time = row.position.event_time
    return pair if time is None else TimestampedValue(pair, time / 1000)


class KeyRejected(beam.PTransform):
    """Rejected records -> the same by key, as `Score` of `pipelines.scoring` gives them.

    It is for what a source refuses, which never reaches `Score`.

    Args:
        model_digest: Stands in the key of a record that no model saw.
    """

    def __init__(self, model_digest: str) -> None:
        super().__init__()
        self._model_digest = model_digest

    def expand(
        self, rejected: beam.PCollection[Rejected]
    ) -> beam.PCollection[tuple[Key, Rejected]]:
        key = beam.Map(keyed, self._model_digest).with_output_types(tuple[Key, Rejected])
        return rejected | "Key" >> key
