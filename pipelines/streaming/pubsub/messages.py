"""Transforms from Pub/Sub's messages to `Message`, and from rows to Pub/Sub's messages."""

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
"""Name of the header, and of a score's attribute, that holds the ordering key of the message."""

RECORD_ID = "record_id"
MODEL_DIGEST = "model_digest"
"""Attributes that together are a row's idempotency key."""

LARGEST = 9_000_000
"""Size of the largest published row, in bytes; the service accepts 10,000,000 with attributes and
metadata."""

LARGEST_ATTRIBUTE = 1024
"""Size of the longest attribute that the service accepts, in bytes."""


class FromPubSub(beam.PTransform):
    """Converts messages with attributes to `Message`, at the time that the source assigned.

    A message's offset is the message id of the service; a redelivered message has the same id.

    Args:
        log: Address of the subscription, `pubsub://PROJECT/SUBSCRIPTION`.
        id_attribute: Attribute with the record's id, used if there is no attribute `id`.
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
            offset=_offset(given),
            value=given.data,
            headers=tuple((name, value.encode()) for name, value in sorted(attributes.items())),
            time=timestamp.micros // 1000,
        )


class Published(NamedTuple):
    """Pub/Sub messages of scores and of rejected records."""

    scored: beam.PCollection[PubsubMessage]
    rejected: beam.PCollection[PubsubMessage]


class ToPubSub(beam.PTransform):
    """Encodes `Scores` as `Published`: JSON objects as in JSONL files, with the key as attributes.

    A score that is too large for the service becomes a rejected record, since a message that cannot
    be sent would stop the stream.

    Args:
        settings: Common properties of all rows.
    """

    def __init__(self, settings: ScoreSchema) -> None:
        super().__init__()
        self._settings = settings

    @no_annotations
    def expand(self, scores: Scores) -> Published:
        encode = beam.ParDo(_EncodeDoFn(self._settings)).with_output_types(PubsubMessage)
        parted = scores.scored | "Scored" >> encode.with_outputs("rejected", main="scored")
        to_dead_letter = beam.Map(_dead_letter, self._settings).with_output_types(PubsubMessage)
        refused = scores.rejected | "Refused" >> to_dead_letter
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
    """Returns the message of a rejected record, with its detail cut if it would be too large."""
    key, row = pair
    data = formats.encode(rejected_table([row], settings), "jsonl").rstrip(b"\n")
    if len(data) > LARGEST:
        data = formats.encode(rejected_table([shortened(row)], settings), "jsonl").rstrip(b"\n")
    return PubsubMessage(data, _attributes(key, None))


def _attributes(key: Key, headers: Any) -> dict[str, str]:
    attributes = {RECORD_ID: key.record_id, MODEL_DIGEST: key.model_digest}
    ordering_key = headers.get(ORDERING_KEY) if isinstance(headers, dict) else None
    if isinstance(ordering_key, str) and len(ordering_key.encode()) <= LARGEST_ATTRIBUTE:
        attributes[ORDERING_KEY] = ordering_key
    return attributes


def _offset(given: PubsubMessage) -> int:
    """Returns the message id as a number, or 63 bits of a hash if it is not one."""
    text = given.message_id or ""
    if text.isascii() and text.isdecimal() and int(text) < 2**63:
        return int(text)
    content = repr((text, given.data, sorted((given.attributes or {}).items())))
    return int.from_bytes(hashlib.sha256(content.encode()).digest()[:8]) >> 1
