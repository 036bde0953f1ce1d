"""Idempotency key of scores and rejected records: record id and model digest."""

from typing import NamedTuple, TypeVar

import apache_beam as beam
from apache_beam.transforms.window import TimestampedValue
from apache_beam.typehints.decorators import no_annotations

from triad_ml.transforms.records.values import Rejected, Scored

_Row = TypeVar("_Row", Scored, Rejected)


class Key(NamedTuple):
    """Idempotency key: a consumer that keeps one row for each key sees each record once.

    That holds even if a row is written twice.
    """

    record_id: str
    model_digest: str


def key_of(row: Scored | Rejected, model_digest: str) -> Key:
    """Returns the key of a row; `model_digest` is that of rows without a model digest."""
    return Key(row.id, row.model_digest or model_digest)


@no_annotations
def keyed(row: _Row, model_digest: str) -> tuple[Key, _Row] | TimestampedValue:
    """Returns the pair of a row's key and the row; its timestamp is the event time, if known.

    Args:
        row: Scored or rejected record.
        model_digest: Digest in the key of a row that no model made.
    """
    pair = (key_of(row, model_digest), row)
    time = row.position.event_time
    return pair if time is None else TimestampedValue(pair, time / 1000)


class KeyRejected(beam.PTransform):
    """Adds keys to rejected records, as `pipelines.scoring.score.Score` does.

    It is for records that a source rejects, so that they never reach `Score`.

    Args:
        model_digest: Digest in the key of a record that no model saw.
    """

    def __init__(self, model_digest: str) -> None:
        super().__init__()
        self._model_digest = model_digest

    def expand(
        self, rejected: beam.PCollection[Rejected]
    ) -> beam.PCollection[tuple[Key, Rejected]]:
        key = beam.Map(keyed, self._model_digest).with_output_types(tuple[Key, Rejected])
        return rejected | "Key" >> key
