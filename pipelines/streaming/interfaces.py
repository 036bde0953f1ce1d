"""Interfaces of sources and sinks of micro-batches, and the values that they exchange."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Self

from triad_ml.transforms.records.values import RawRecord, Rejected, Scored


class Written(NamedTuple):
    """Actual outcome of the records of a batch, after writing.

    Attributes:
        scored: Records whose scores were written.
        rejected: All other records, including those whose scores were too large to be written.
    """

    scored: Sequence[Scored]
    rejected: Sequence[Rejected]


class Sink(Protocol):
    """Writer of a batch's outcome: the rows that `write` returns are durable."""

    def write(
        self, number: int, digest: str, scored: Sequence[Scored], rejected: Sequence[Rejected]
    ) -> Written: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """Piece of the input that is scored in one batch, and can be read again unchanged.

    Attributes:
        source: Path of a file, common name of a record's media files, or
            `kafka://HOST:PORT/TOPIC/N` of partition N.
        start: First byte, row or offset.
        stop: First byte, row or offset after the part.
        version: Version of the files, which changes with their content; id of a topic, so that a
            topic that is created again under the same name counts as another; "" if unknown.
        event_time: Time at which the files were written, in milliseconds since 1970; None for a
            topic, where each message has a time.
        media: Paths of one record's media files, by modality; empty for all other parts.
        counted: True if `start` and `stop` count records, as for a file that can only be read from
            its beginning.
    """

    source: str
    start: int
    stop: int
    version: str = ""
    event_time: int | None = None
    media: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    counted: bool = False

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        return cls(**fields)


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Parts that are scored together; their output files are named by number and `digest`.

    Attributes:
        number: Number of the batch, counted from 1 for each sink.
        parts: Parts of the input.
        model: Digest of the model with which the batch began; "" if unknown.
    """

    number: int
    parts: tuple[Part, ...]
    model: str = ""

    def digest(self, model_digest: str) -> str:
        """Returns twelve hexadecimal digits that identify these parts, scored by this model."""
        content = json.dumps([model_digest, *map(dataclasses.asdict, self.parts)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]


class Load(NamedTuple):
    """Backlog of a source.

    Attributes:
        behind: Number of messages or files that are not yet delivered.
        held: Number of messages or parts that are delivered and not done.
        held_bytes: Size of the held messages or parts, in bytes.
        queued: Number of messages that are fetched ahead and not yet delivered.
        queued_bytes: Size of the queued messages, in bytes.
        held_back: Number of offsets after open transactions, which cannot be read yet.
        passed_over: Number of files and folders that are skipped; the log names each.
    """

    behind: int = 0
    held: int = 0
    held_bytes: int = 0
    queued: int = 0
    queued_bytes: int = 0
    held_back: int = 0
    passed_over: int = 0


class Item(Protocol):
    """Reader of one part; it is sent into the Beam pipeline and reads there."""

    def read(self) -> Iterator[RawRecord | Rejected]:
        """Yields the part's records; a broken one becomes a rejected record, not an exception."""


class Source(Protocol):
    """Source of arriving input, which it delivers in parts.

    Attributes:
        pause: Seconds to wait after a poll that found nothing ready.
    """

    @property
    def pause(self) -> float: ...

    def poll(self) -> tuple[Part, ...]:
        """Delivers the parts of the next batch; none if nothing is ready."""

    def items(self, parts: Sequence[Part], labels: Sequence[str]) -> Sequence[Item]:
        """Returns readers of parts, including parts from before a restart that still exist.

        Args:
            parts: Parts that `poll` delivered, in this process or before.
            labels: Names of the labels that the model's tasks read; they are not passed through.
        """

    def unchanged(self, parts: Sequence[Part]) -> tuple[Part, ...]:
        """Returns the parts that can still be read as they were when they were delivered."""

    def done(self, parts: Sequence[Part]) -> None:
        """Marks parts as done; called once their output is durable."""

    def needed(self, parts: Sequence[Part]) -> Sequence[Part]:
        """Returns those of all done parts that must be remembered; called from time to time."""

    def is_drained(self) -> bool:
        """Returns True if everything that existed at the last poll has been delivered."""

    def load(self) -> Load:
        """Returns the backlog, as of the last poll."""

    def close(self) -> None: ...
