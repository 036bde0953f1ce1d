"""What a micro-batch is made of, and what a source of them must do."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Self

from triad_ml.transforms.records.values import RawRecord, Rejected, Scored


class Written(NamedTuple):
    """What really became of the records of a batch.

    Attributes:
        scored: Those whose scores were written.
        rejected: All others; among them scores that were too large to be written.
    """

    scored: Sequence[Scored]
    rejected: Sequence[Rejected]


class Sink(Protocol):
    """Takes what a batch gave; what it returns is durable."""

    def write(
        self, number: int, digest: str, scored: Sequence[Scored], rejected: Sequence[Rejected]
    ) -> Written: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """A piece of the input that is scored in one batch, and can be read again as it was.

    Attributes:
        source: A file, the name shared by a record's media files, or `kafka://HOST:PORT/TOPIC/N`.
        start: First byte, row or offset.
        stop: The one behind the last.
        version: Of the files, changes with them; of a topic its id, so that one which is made again
            under the same name is another; "" where nobody knows.
        event_time: When the files were written, in milliseconds since 1970; None for a log, whose
            messages have times of their own.
        media: Paths of the media files of one record, by modality; of nothing else.
        counted: Whether `start` and `stop` count records: of a file that can only be read from its
            beginning.
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
    """What is scored together: its number and parts decide the names of all files it gives.

    Attributes:
        number: Counts the batches of a sink.
        parts: What it holds.
        model: Digest of the model that began it; "" where that is not known.
    """

    number: int
    parts: tuple[Part, ...]
    model: str = ""

    def digest(self, model_digest: str) -> str:
        """Twelve hexadecimal digits for these parts, scored by this model."""
        said = json.dumps([model_digest, *map(dataclasses.asdict, self.parts)], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:12]


class Load(NamedTuple):
    """How much a source has in hand, and how much it does not.

    Attributes:
        behind: Messages or files that were not yet given out.
        held: Messages or parts that were given out and are not done.
        held_bytes: What they take.
        queued: Messages that were fetched ahead and not yet given out.
        queued_bytes: What they take.
        held_back: Offsets behind transactions that are open: they cannot be read yet.
        passed_over: Files and folders that are not read, each of which the log names.
    """

    behind: int = 0
    held: int = 0
    held_bytes: int = 0
    queued: int = 0
    queued_bytes: int = 0
    held_back: int = 0
    passed_over: int = 0


class Item(Protocol):
    """Something of which records are read, inside the pipeline: it crosses into it."""

    def read(self) -> Iterator[RawRecord | Rejected]:
        """Reads the records; what is broken is rejected, never raised."""


class Source(Protocol):
    """Gives what has arrived, in parts.

    Attributes:
        pause: Seconds to wait where nothing is ready.
    """

    @property
    def pause(self) -> float: ...

    def poll(self) -> tuple[Part, ...]:
        """What is to be scored next, at most a batch of it; nothing where nothing is ready."""

    def items(self, parts: Sequence[Part], labels: Sequence[str]) -> Sequence[Item]:
        """What the parts hold; parts from before a restart too, if they are still there.

        Args:
            parts: That were given out.
            labels: The label names that the model's tasks read; they do not pass through.
        """

    def unchanged(self, parts: Sequence[Part]) -> tuple[Part, ...]:
        """Those of the parts that can still be read as they were when they were given out."""

    def done(self, parts: Sequence[Part]) -> None:
        """Told once the output of these parts is durable."""

    def needed(self, parts: Sequence[Part]) -> Sequence[Part]:
        """Told now and then of all parts that are done: those that must not be forgotten."""

    def is_drained(self) -> bool:
        """Whether all that was there at the last poll has been given out."""

    def load(self) -> Load:
        """How much is in hand, and how much is behind, as far as the last poll knows."""

    def close(self) -> None: ...
