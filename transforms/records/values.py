"""Frozen values that cross the boundaries between pipeline steps: records, rows and errors."""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from triad_ml.transforms.records.text_offsets import Offsets

MODALITIES = ("image", "audio", "text")
"""Modalities, in the order in which every table, mask and message names them."""

SPLITS = ("train", "eval", "test")

GROUP = "group"
"""Name of the column of the training files that numbers groups; see `split.group_number`."""

UNKNOWN_SPLIT = "?"
"""Split of a record whose field `split` is neither in `SPLITS` nor a synonym of one."""


class Flaw(enum.StrEnum):
    """Reason for which one medium of a record is not used.

    The list is closed: counters and reports rely on it.
    """

    NOT_FOUND = "not_found"  # the URI leads to no file
    FORBIDDEN = "forbidden"  # the URI leads outside the allowed folders or schemes
    TOO_LARGE = "too_large"  # over a limit of bytes, pixels, duration or memory
    UNSUPPORTED = "unsupported"  # the content has no format of the allow-list
    TRUNCATED = "truncated"  # the content is shorter than its header says
    CORRUPT = "corrupt"  # the content contradicts its format, or makes its decoder crash
    NOT_FINITE = "not_finite"  # a sample is NaN or infinite
    NOT_UTF8 = "not_utf8"  # the text is not strict UTF-8
    EMPTY = "empty"  # zero bytes, zero pixels or zero samples
    TIMEOUT = "timeout"  # decoding did not end in time


class Reason(enum.StrEnum):
    """Reason for which a whole record is rejected.

    The list is closed: counters and reports rely on it.
    """

    UNPARSABLE = "unparsable"  # the line or row is not a record
    INVALID_ID = "invalid_id"  # the id is missing, no string or number, or too long
    DUPLICATE_ID = "duplicate_id"  # an earlier record of this run has the id
    EMPTY = "empty"  # the record has no medium of the spec's modalities
    UNREADABLE = "unreadable"  # every medium of the record has a flaw
    MODEL_FAILED = "model_failed"  # the model fails on this record alone
    TOO_LARGE = "too_large"  # over a limit of bytes, fields or values, or of a topic's messages


class MediumError(ValueError):
    """A medium that cannot be used, with a flaw from the closed list.

    The text has no memory address, host path or payload, so that rejected records are the same in
    each run.
    """

    def __init__(self, flaw: Flaw, detail: str = "") -> None:
        super().__init__(f"{flaw}: {detail}" if detail else str(flaw))
        self.flaw = flaw
        self.detail = detail

    def __reduce__(self) -> tuple[type["MediumError"], tuple[Flaw, str]]:
        return type(self), (self.flaw, self.detail)


@dataclasses.dataclass(frozen=True, slots=True)
class Uri:
    """URI or path of a medium; a relative path begins at the folder of the records file."""

    value: str


@dataclasses.dataclass(frozen=True, slots=True)
class BrokenMedium:
    """A medium that its source could not read, such as bad base64.

    Attributes:
        detail: The defect, without payload.
    """

    detail: str


Medium = bytes | Uri | BrokenMedium


@dataclasses.dataclass(frozen=True, slots=True)
class Position:
    """Origin of a record: a file, and the record's position in it.

    Attributes:
        uri: URI of the records file.
        offset: Byte offset of a line, index of a table's row, or a message's offset in its log.
        unit: Index of the unit of work that reads the record.
        event_time: Time at which the message was sent or the file was written, in milliseconds
            since 1970; None if it was not requested.
    """

    uri: str
    offset: int
    unit: int = 0
    event_time: int | None = None

    def __str__(self) -> str:
        return f"{self.uri}#{self.offset}"


@dataclasses.dataclass(frozen=True, slots=True)
class RawRecord:
    """One record as its source has it. A missing medium is None.

    Attributes:
        split: One of `SPLITS`, or `UNKNOWN_SPLIT` if the record belongs to none; None if the
            record names no split.
        kinds: Storage types of the id and of the group, by `scalars.kind_of`; the second is None
            without a group.
        untrainable: Defect of the group or split, for which the record belongs to no split. Only
            training uses these fields. "" if there is no defect.
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
    """One record with canonical media, which the graph decodes. A missing medium is `b""`.

    Attributes:
        issues: One `"<modality>: <flaw>"` for each medium of the record that is not used, and
            `"marker: corrupt"` for a marker that names no part of the text.
        offsets: Offsets of the characters of `text` in the caller's text; None if both texts have
            the same characters, or no task is tagging.
        markers: Marked characters `[start, end)` of `text`, by task.
        measures: Measures of the media by feature; empty unless the record is in the sample of
            `statistics.sampling`.
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
    measures: Mapping[str, float | str] = dataclasses.field(default_factory=dict)

    @property
    def present(self) -> tuple[str, ...]:
        """Modalities of which the record has a medium, in the order of `MODALITIES`."""
        return tuple(name for name in MODALITIES if getattr(self, name))


@dataclasses.dataclass(frozen=True, slots=True)
class Rejected:
    """A record that is neither scored nor trained on: its position, and the stage and reason.

    Attributes:
        id: The record's id; its position if it has none.
        stage: Stage that rejected the record: `read`, `canonicalize`, `score` or `publish`.
        detail: The defect, in a few words, without payload.
        payload_digest: SHA-256, hexadecimal, by stage: `read` of the line, row or message;
            `canonicalize` and `score` of the media; `publish` the content digest of the score. ""
            if nothing was read.
        model_digest: Digest of the model that was to score the record; "" without one.
    """

    id: str
    position: Position
    stage: str
    reason: Reason
    detail: str = ""
    payload_digest: str = ""
    model_digest: str = ""


class Explanation(NamedTuple):
    """Shapley values of the modalities for one `Prediction`: see `model.serving.explanations`.

    Attributes:
        label: Class whose probability is explained: the likeliest one.
        baseline: Probability of the class if the model sees no modality.
        shares: Shapley value of each modality of the model, in the order of `MODALITIES`; 0 for a
            missing one. The baseline and the shares add up to the prediction's score.
    """

    label: str
    baseline: float
    shares: Mapping[str, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Prediction:
    """Prediction of one classification task for one record.

    Attributes:
        label: The likeliest class; in a multi-label task all classes with a probability of one
            half or more.
        score: Probability of `label`; in a multi-label task that of the likeliest class.
        distribution: Probabilities, float32 of shape `[classes]`, in the order of the model's
            classes.
        explanation: Shapley values; None if they were not requested.
    """

    label: str | tuple[str, ...]
    score: float
    distribution: npt.NDArray[np.float32]
    explanation: Explanation | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Number:
    """Prediction of one regression task for one record.

    Attributes:
        value: The number, in the unit of the labels.
        explanation: Shapley values, in the unit of the labels; None if they were not requested.
    """

    value: float
    explanation: Explanation | None = None


class Span(NamedTuple):
    """A part of a text: the characters `[start, end)`, and their class."""

    start: int
    end: int
    label: str


class ScoredSpan(NamedTuple):
    """A `Span` in the caller's text, and the probability of exactly this span."""

    start: int
    end: int
    label: str
    score: float


@dataclasses.dataclass(frozen=True, slots=True)
class Tagged:
    """Prediction of one tagging task for one record.

    Attributes:
        spans: Spans in the order of the text; they do not overlap.
        score: Probability of the whole sequence of tags; 1 if there is nothing to tag.
    """

    spans: tuple[ScoredSpan, ...]
    score: float


@dataclasses.dataclass(frozen=True, slots=True)
class Text:
    """Prediction of one generation task for one record.

    Attributes:
        text: The generated text.
        score: Probability of exactly this text.
    """

    text: str
    score: float


@dataclasses.dataclass(frozen=True, slots=True)
class Provenance:
    """Origin of a row: SHA-256 digests, hexadecimal ("" if there is none), and the version.

    Attributes:
        model: Digest of the SavedModel's files and its batch size.
        transform: Digest of the feature graph, its vocabularies and moments.
        spec: Digest of the whole spec.
        code: Digest of the source files that decide features and scores.
        version: Version of Triad.
    """

    model: str
    transform: str
    spec: str
    code: str
    version: str

    @property
    def digests(self) -> dict[str, str]:
        """Digests by name; the version is not among them."""
        return {
            "model": self.model,
            "transform": self.transform,
            "spec": self.spec,
            "code": self.code,
        }


Answer: TypeAlias = Prediction | Number | Tagged | Text
"""Prediction of a task of any kind for one record."""


@dataclasses.dataclass(frozen=True, slots=True)
class Scored:
    """One scored record, without its media.

    Attributes:
        predictions: Predictions by task.
        content_digest: Digest of the canonical record, by `digests.content_digest`.
        model_digest: Digest of the model that made the predictions.
        measures: Measures of the media, as in `CanonicalRecord`; they are not published.
    """

    id: str
    position: Position
    predictions: Mapping[str, Answer]
    modalities_used: tuple[str, ...]
    issues: tuple[str, ...] = ()
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    content_digest: str = ""
    model_digest: str = ""
    measures: Mapping[str, float | str] = dataclasses.field(default_factory=dict)
