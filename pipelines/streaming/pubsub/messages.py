"""Pub/Sub's messages -> ours, and rows -> Pub/Sub's messages."""

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.typehints.decorators import no_annotations
from apache_beam.utils.timestamp import Timestamp

from triad_ml.pipelines.scoring.score import Scores
from triad_ml.pipelines.streaming.messages.parser import HEADERS, Message
from triad_ml.pipelines.streaming.rows import rejected_table, scored_table, shortened, too_large_row
from triad_ml.pipelines.tables import formats
from triad_ml.pipelines.tables.keys import Key
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.records.values import Rejected, Scored

ORDERING_KEY = "ordering_key"
"""The header, and the attribute of a score, that holds the ordering key of a record's message."""

RECORD_ID = "record_id"
MODEL_DIGEST = "model_digest"
"""The attributes that are a row's key."""

LARGEST = 9_000_000
"""Bytes of the largest row that is published; the service takes 10,000,000 with all around it."""

LARGEST_ATTRIBUTE = 1024
"""Bytes of the longest attribute that the service takes."""


class FromPubSub(beam.PTransform):
    """Messages with attributes -> `Message`, at the time that the source gave them.

    A message's offset is the number that the service gave it. It comes again with the same number.

    Args:
        log: `pubsub://PROJECT/SUBSCRIPTION`.
        id_attribute: The attribute that names a record where none is called `id`.
    """

    def __init__(self, log: str, id_attribute: str | None = None) -> None:
        super().__init__()
        self._log, self._id_attribute = log, id_attribute

    @no_annotations
    def expand(self, given: beam.PCollection[PubsubMessage]) -> beam.PCollection[Message]:
        as_message = beam.Map(self._message).with_output_types(Message)
        return given | "AsMessage" >> as_message

    @no_annotations
    def _message(
        self, given: PubsubMessage, timestamp: Timestamp = beam.DoFn.TimestampParam
    ) -> Message:
        attributes = dict(given.attributes or {})
        named = attributes.get(self._id_attribute or "")
        if named is not None:
            attributes.setdefault("id", named)
        if given.ordering_key:
            attributes.setdefault(ORDERING_KEY, given.ordering_key)
        return Message(
            log=self._log,
            topic=self._log.rpartition("/")[2],
            partition=0,
            offset=_number(given),
            value=given.data,
            headers=tuple((name, value.encode()) for name, value in sorted(attributes.items())),
            time=timestamp.micros // 1000,
        )


class Published(NamedTuple):
    """Messages of scores and of rejected records."""

    scored: beam.PCollection[PubsubMessage]
    rejected: beam.PCollection[PubsubMessage]


class ToPubSub(beam.PTransform):
    """`Scores` -> `Published`: JSON objects as in JSONL files, with their key as attributes.

    A score that the service would not take is published as a rejected record: a message that
    cannot be sent would stop the stream.

    Args:
        settings: What all rows have in common.
    """

    def __init__(self, settings: ScoreSchema) -> None:
        super().__init__()
        self._settings = settings

    @no_annotations
    def expand(self, scores: Scores) -> Published:
        encode = beam.ParDo(_EncodeDoFn(self._settings)).with_output_types(PubsubMessage)
        parted = scores.scored | "Scored" >> encode.with_outputs("rejected", main="scored")
        dead = beam.Map(_dead_letter, self._settings).with_output_types(PubsubMessage)
        refused = scores.rejected | "Refused" >> dead
        rejected = (refused, parted["rejected"]) | "AllRefused" >> beam.Flatten()
        return Published(parted["scored"], rejected)


class _EncodeDoFn(beam.DoFn):
    def __init__(self, settings: ScoreSchema) -> None:
        self._settings = settings

    @no_annotations
    def process(self, pair: tuple[Key, Scored]) -> Iterator[object]:
        key, row = pair
        data = formats.encode(scored_table([row], self._settings), "jsonl").rstrip(b"\n")
        if len(data) <= LARGEST:
            yield PubsubMessage(data, _attributes(key, row.extra.get(HEADERS)))
            return
        message = _dead_letter((key, too_large_row(row, len(data))), self._settings)
        yield beam.pvalue.TaggedOutput("rejected", message)


@no_annotations
def _dead_letter(pair: tuple[Key, Rejected], settings: ScoreSchema) -> PubsubMessage:
    """The message of a rejected record, without its detail's end where it would be too long."""
    key, row = pair
    data = formats.encode(rejected_table([row], settings), "jsonl").rstrip(b"\n")
    if len(data) > LARGEST:
        data = formats.encode(rejected_table([shortened(row)], settings), "jsonl").rstrip(b"\n")
    return PubsubMessage(data, _attributes(key, None))


def _attributes(key: Key, headers: Any) -> dict[str, str]:
    found = {RECORD_ID: key.record_id, MODEL_DIGEST: key.model_digest}
    ordering_key = headers.get(ORDERING_KEY) if isinstance(headers, dict) else None
    if isinstance(ordering_key, str) and len(ordering_key.encode()) <= LARGEST_ATTRIBUTE:
        found[ORDERING_KEY] = ordering_key
    return found


def _number(given: PubsubMessage) -> int:
    text = given.message_id or ""
    if text.isascii() and text.isdecimal() and int(text) < 2**63:
        return int(text)
    said = repr((text, given.data, sorted((given.attributes or {}).items())))
    return int.from_bytes(hashlib.sha256(said.encode()).digest()[:8]) >> 1
