"""The small frozen values that cross step boundaries."""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from triad_ml.transforms.records.text_offsets import Offsets

MODALITIES = ("image", "audio", "text")
"""The modalities in the order in which every table, mask and message names them."""

SPLITS = ("train", "eval", "test")

GROUP = "group"
"""Name of the column of the training files that numbers groups; see `split.group_number`."""

UNKNOWN_SPLIT = "?"
"""What a record's own split is where it is none of `SPLITS` and no other word for one."""


class Flaw(enum.StrEnum):
    """Why one medium of a record is not used. A closed list: counters and reports rely on it."""

    NOT_FOUND = "not_found"  # the URI names nothing
    FORBIDDEN = "forbidden"  # the URI leads outside the allowed folders or schemes
    TOO_LARGE = "too_large"  # over a cap on bytes, pixels, duration or memory
    UNSUPPORTED = "unsupported"  # the content is of no format on the allow-list
    TRUNCATED = "truncated"  # the content stops before its header says
    CORRUPT = "corrupt"  # the content contradicts its format, or makes its decoder crash
    NOT_FINITE = "not_finite"  # a sample is NaN or infinite
    NOT_UTF8 = "not_utf8"  # the text is not strict UTF-8
    EMPTY = "empty"  # zero bytes, zero pixels or zero samples
    TIMEOUT = "timeout"  # decoding did not end in time


class Reason(enum.StrEnum):
    """Why a whole record is rejected. A closed list: counters and reports rely on it."""

    UNPARSABLE = "unparsable"  # the line or row is not a record
    INVALID_ID = "invalid_id"  # the id is missing, no string or number, or too long
    DUPLICATE_ID = "duplicate_id"  # an earlier record of this run has the id
    EMPTY = "empty"  # none of the spec's modalities is there
    UNREADABLE = "unreadable"  # each medium that was there is flawed
    MODEL_FAILED = "model_failed"  # the model fails on this record alone
    TOO_LARGE = "too_large"  # over a cap on bytes, fields or values, or larger than a topic takes


class MediumError(ValueError):
    """A medium that cannot be used, with a flaw from the closed list.

    The text holds no memory address, host path or payload: rejected records are reproducible.
    """

    def __init__(self, flaw: Flaw, detail: str = "") -> None:
        super().__init__(f"{flaw}: {detail}" if detail else str(flaw))
        self.flaw = flaw
        self.detail = detail

    def __reduce__(self) -> tuple[type["MediumError"], tuple[Flaw, str]]:
        return type(self), (self.flaw, self.detail)


@dataclasses.dataclass(frozen=True, slots=True)
class Uri:
    """Where a medium is. Relative ones are relative to the folder of the records file."""

    value: str


@dataclasses.dataclass(frozen=True, slots=True)
class BrokenMedium:
    """A medium that its source could not give, such as bad base64; `detail` holds no payload."""

    detail: str


Medium = bytes | Uri | BrokenMedium


@dataclasses.dataclass(frozen=True, slots=True)
class Position:
    """Where a record came from: a file and the record's place in it.

    Attributes:
        uri: The records file.
        offset: Byte offset of a line, else index of the row; of a message its offset in the log.
        unit: Index of the work unit that reads it.
        event_time: When the message was sent or the file was written, in milliseconds since 1970;
            None where nobody asked.
    """

    uri: str
    offset: int
    unit: int = 0
    event_time: int | None = None

    def __str__(self) -> str:
        return f"{self.uri}#{self.offset}"


@dataclasses.dataclass(frozen=True, slots=True)
class RawRecord:
    """One record as a source gives it. A missing medium is None.

    Attributes:
        split: One of `SPLITS`, or `UNKNOWN_SPLIT` where the record is in none.
        kinds: How the source stored the id and, where there is one, the group, in the words of
            `scalars.kind_of`.
        untrainable: Why the record is in no split: what is wrong with its group or split, which
            only training uses. "" where nothing is.
    """

    id: str
    position: Position
    image: Medium | None = None
    audio: Medium | None = None
    text: Medium | None = None
    group: str | None = None
    split: str | None = None
    labels: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    kinds: tuple[str, str | None] = dataclasses.field(default=("text", None), compare=False)
    untrainable: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class CanonicalRecord:
    """One record whose media the graph reads as they are. A missing medium is `b""`.

    Attributes:
        issues: One `"<modality>: <flaw>"` for each medium that was there and is not used, and
            `"marker: corrupt"` where a marker names no part of the text.
        offsets: Where the characters of `text` stand in the caller's, where that differs and some
            task is tagging.
        markers: By task, the marked characters `[start, end)` of `text`.
    """

    id: str
    position: Position
    image: bytes = b""
    audio: bytes = b""
    text: bytes = b""
    issues: tuple[str, ...] = ()
    group: str | None = None
    split: str | None = None
    labels: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    offsets: Offsets | None = None
    markers: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)

    @property
    def present(self) -> tuple[str, ...]:
        """The modalities that are there, in the order of `MODALITIES`."""
        return tuple(name for name in MODALITIES if getattr(self, name))


@dataclasses.dataclass(frozen=True, slots=True)
class Rejected:
    """A record that is not scored or trained on: where it was, which stage refused it, and why.

    Attributes:
        id: The record's id; its position where it has none.
        stage: `read`, `canonicalize`, `score` or `publish`.
        detail: What was wrong, in a few words, without payload.
        payload_digest: SHA-256, hexadecimal. Of `read` that of the line, row or message; of
            `canonicalize` and `score` that of the media; of `publish` the content digest of the
            score. "" where nothing was read.
        model_digest: Of the model that was asked; "" where none was.
    """

    id: str
    position: Position
    stage: str
    reason: Reason
    detail: str = ""
    payload_digest: str = ""
    model_digest: str = ""


class Explanation(NamedTuple):
    """What each modality is worth to a `Prediction`: see `model.explanation`.

    Attributes:
        label: The class whose probability is explained: the likeliest one.
        baseline: Its probability where the model sees nothing.
        shares: By modality of the model, in the order of `MODALITIES`; 0 for what is missing. With
            the baseline they add up to the prediction's score.
    """

    label: str
    baseline: float
    shares: Mapping[str, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says about one classification task of one record.

    Attributes:
        label: The likeliest class; of a multi-label task the classes at or over one half.
        score: Probability of `label`; of a multi-label task that of the likeliest class.
        distribution: float32 of shape `[classes]`, in the order of the model's classes.
        explanation: Where one was asked for.
    """

    label: str | tuple[str, ...]
    score: float
    distribution: npt.NDArray[np.float32]
    explanation: Explanation | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Number:
    """What the model says about one regression task of one record.

    Attributes:
        value: The number, in the units of the labels.
        explanation: Where one was asked for; its shares are in these units too.
    """

    value: float
    explanation: Explanation | None = None


class Span(NamedTuple):
    """A part of a text: its characters `[start, end)`, and its class."""

    start: int
    end: int
    label: str


class ScoredSpan(NamedTuple):
    """A `Span` in the caller's text, and the probability that exactly this one is there."""

    start: int
    end: int
    label: str
    score: float


@dataclasses.dataclass(frozen=True, slots=True)
class Tagged:
    """What the model says about one tagging task of one record.

    Attributes:
        spans: In the order of the text; they do not overlap.
        score: Probability that all of the text's tags are these; 1 where there is nothing to tag.
    """

    spans: tuple[ScoredSpan, ...]
    score: float


@dataclasses.dataclass(frozen=True, slots=True)
class Text:
    """What the model says about one generation task of one record.

    Attributes:
        text: What it writes.
        score: Probability of exactly this text.
    """

    text: str
    score: float


@dataclasses.dataclass(frozen=True, slots=True)
class Provenance:
    """What made a row: SHA-256 digests, hexadecimal, or "" where there is none, and the version.

    Attributes:
        model: Of the SavedModel's files and its batch size.
        transform: Of the feature graph, its vocabularies and moments.
        spec: Of the whole spec.
        code: Of the source files that decide features and scores.
        version: Of this software.
    """

    model: str
    transform: str
    spec: str
    code: str
    version: str

    @property
    def digests(self) -> dict[str, str]:
        """All but the version, by name."""
        return {
            "model": self.model,
            "transform": self.transform,
            "spec": self.spec,
            "code": self.code,
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Scored:
    """One scored record. It holds no media.

    Attributes:
        content_digest: See `content_digest`.
        model_digest: Of the model that made the predictions.
    """

    id: str
    position: Position
    predictions: Mapping[str, Prediction | Number | Tagged | Text]
    modalities_used: tuple[str, ...]
    issues: tuple[str, ...] = ()
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    content_digest: str = ""
    model_digest: str = ""
