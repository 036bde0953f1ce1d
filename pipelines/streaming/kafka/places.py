"""Start offset of each partition of a topic, from known offsets and those its log still has."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from triad_ml.pipelines.streaming import metrics
from triad_ml.pipelines.streaming.interfaces import Part
from triad_ml.pipelines.streaming.kafka.admin import Bounds

_LABEL = "topic-id="
"""Prefix of a committed offset's metadata that holds the id of the topic."""

_log = logging.getLogger(__name__)


class Known(NamedTuple):
    """Recorded progress in a partition.

    Attributes:
        offset: First offset that is not done yet.
        topic_id: Id of the topic to which the offset belongs; "" if unknown.
    """

    offset: int
    topic_id: str


class Start(NamedTuple):
    """Start offset of a partition.

    Attributes:
        offset: First offset that is read.
        wanted: First offset that is not done; smaller than `offset` if the log has lost messages.
        anew: True if the recorded offsets belong to another log, which had this name before.
    """

    offset: int
    wanted: int
    anew: bool = False


def label(topic_id: str) -> str:
    """Returns the metadata for committed offsets: the topic's id with a prefix."""
    return f"{_LABEL}{topic_id}" if topic_id else ""


def known(source: str, given: Iterable[Part], committed: Any, unlabelled: str = "") -> list[Known]:
    """Returns the progress in a partition that a journal and a consumer group have recorded.

    Args:
        source: Address of the partition, `kafka://HOST:PORT/TOPIC/N`.
        given: Parts that were delivered before, also of other partitions.
        committed: Committed offset and metadata of the partition, from the group's coordinator.
        unlabelled: Id of the topic to which committed offsets without an id belong; "" if unknown.
    """
    parts = [part for part in given if part.source == source]
    named = [part for part in parts if part.version]  # earlier releases wrote none
    progress = [Known(part.stop, part.version) for part in named or parts]
    if committed.offset >= 0:
        metadata = committed.metadata or ""
        topic_id = metadata.removeprefix(_LABEL) if metadata.startswith(_LABEL) else unlabelled
        progress.append(Known(committed.offset, topic_id))
    return progress


def start(recorded: Sequence[Known], topic_id: str, bounds: Bounds) -> Start:
    """Returns the offset at which to begin, so that no message is lost and few are repeated.

    This is the highest offset that the log reaches, of those recorded with this id or without one
    (of all, if `topic_id` is ""). If there is none, the whole log is read: nothing was recorded,
    the topic was created again under its name, or its log was cut.
    """
    ours = [known.offset for known in recorded if topic_id and known.topic_id == topic_id]
    unnamed = [known.offset for known in recorded if not (topic_id and known.topic_id)]
    reached = [offset for offset in (*ours, *unnamed) if offset <= bounds.high]
    if reached:
        wanted = max(reached)
        return Start(max(wanted, bounds.low), wanted)
    return Start(bounds.low, bounds.low, anew=bool(recorded))


def passed_over(source: str, start: int, stop: int) -> None:
    """Reports, in the log and the metrics, messages that a topic removed before they were read.

    Args:
        source: Address of the partition, `kafka://HOST:PORT/TOPIC/N`.
        start: First offset that was to be read.
        stop: First offset that is left, or that is not wanted. If it is not greater than `start`,
            nothing was lost.
    """
    if stop <= start:
        return
    metrics.removed(stop - start)
    _log.warning(
        "%s: messages were removed before they were read, offsets %d to %d (%d): passed over; "
        "let the topic keep them longer",
        *(source, start, stop - 1, stop - start),
    )
