"""From where each partition of a topic is read: what is known of it, and what its log still has."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from triad_ml.pipelines.streaming import metrics
from triad_ml.pipelines.streaming.interfaces import Part
from triad_ml.pipelines.streaming.kafka.admin import Bounds

_LABEL = "topic-id="
"""How the metadata of a committed offset begin, if they say of which topic the offset is."""

_log = logging.getLogger(__name__)


class Known(NamedTuple):
    """An offset behind which nothing is done yet, and the id of the topic; "" where not known."""

    offset: int
    topic_id: str


class Start(NamedTuple):
    """Where a partition is read from.

    Attributes:
        offset: The first one.
        wanted: The first one that was not done before; smaller where the log lost what came then.
        anew: Whether what is known is of another log, which had this name before.
    """

    offset: int
    wanted: int
    anew: bool = False


def label(topic_id: str) -> str:
    """Metadata for the offsets that are committed."""
    return f"{_LABEL}{topic_id}" if topic_id else ""


def known(source: str, given: Iterable[Part], committed: Any, unlabelled: str = "") -> list[Known]:
    """What a journal and a group know of a partition.

    Args:
        source: `kafka://HOST:PORT/TOPIC/N`.
        given: Parts that were given out; of other partitions too.
        committed: What the group's coordinator says of the partition.
        unlabelled: The id of the topic that committed offsets are of where they do not say it; ""
            where nobody knows.
    """
    parts = [part for part in given if part.source == source]
    named = [part for part in parts if part.version]  # versions before wrote none
    found = [Known(part.stop, part.version) for part in named or parts]
    if committed.offset >= 0:
        said = committed.metadata or ""
        topic_id = said.removeprefix(_LABEL) if said.startswith(_LABEL) else unlabelled
        found.append(Known(committed.offset, topic_id))
    return found


def start(said: Sequence[Known], topic_id: str, bounds: Bounds) -> Start:
    """Where to begin, so that nothing is lost and little is done twice.

    That is the last place known of this very topic. What is known of no topic by name counts too,
    as long as the log reaches there. Where only places of another log are known, its name was given
    to this one, or it lost its end: then all that is there is to be read.
    """
    ours = [one.offset for one in said if topic_id and one.topic_id == topic_id]
    unnamed = [one.offset for one in said if not (topic_id and one.topic_id)]
    reached = [offset for offset in (*ours, *unnamed) if offset <= bounds.high]
    if reached:
        place = max(reached)
        return Start(max(place, bounds.low), place)
    return Start(bounds.low, bounds.low, anew=bool(said))


def passed_over(source: str, start: int, stop: int) -> None:
    """Tells in the log and the metrics that a log lost messages before they were read.

    Args:
        source: `kafka://HOST:PORT/TOPIC/N`.
        start: The first offset that was to be read.
        stop: The first one that is left, or that is not of interest; where it is not behind
            `start`, nothing was lost.
    """
    if stop <= start:
        return
    metrics.removed(stop - start)
    _log.warning(
        "%s: messages were removed before they were read, offsets %d to %d (%d): passed over; "
        "let the topic keep them longer",
        *(source, start, stop - 1, stop - start),
    )
