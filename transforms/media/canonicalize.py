"""Canonicalization of records: their media become bytes that the feature graph decodes exactly."""

import collections
import concurrent.futures
import dataclasses
import functools
import os
import posixpath
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, Self, TypeAlias

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.typehints.decorators import no_annotations
from apache_beam.utils.windowed_value import WindowedValue

from triad_ml.transforms.labels import spans
from triad_ml.transforms.labels.classes import LabelError
from triad_ml.transforms.media import uris
from triad_ml.transforms.media.registry import MEDIA
from triad_ml.transforms.records import live
from triad_ml.transforms.records.digests import media_bytes, payload_digest
from triad_ml.transforms.records.text_offsets import Offsets
from triad_ml.transforms.records.values import (
    BrokenMedium,
    CanonicalRecord,
    Flaw,
    Medium,
    MediumError,
    RawRecord,
    Reason,
    Rejected,
    Uri,
)
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.spec import Spec

REJECTED = "rejected"

HELD_BYTES = 128 * 2**20

_Output: TypeAlias = WindowedValue | beam.pvalue.TaggedOutput[Literal["rejected"], Rejected]


class Canonicalized(NamedTuple):
    """Outputs of `Canonicalize`."""

    records: beam.PCollection[CanonicalRecord]
    rejected: beam.PCollection[Rejected]


@dataclasses.dataclass(frozen=True)
class Canonicalizer:
    """Function from raw records to canonical records.

    Attributes:
        spec: Spec with the modalities, their sizes and limits.
        media_roots: Folders, local or `gs://`, besides the folder of the records file, from which
            media may be read.
        check: True to decode each image also with the op of the feature graph. If False, an image
            that is kept byte for byte is not decoded here, and a broken one makes its batch fail.
        watched: Folder in which records files arrive; "" if none is watched.
    """

    spec: Spec
    media_roots: tuple[str, ...] = ()
    check: bool = True
    watched: str = ""

    def canonical(self, record: RawRecord) -> CanonicalRecord | Rejected:
        """Makes one record canonical.

        A broken medium is left out, and becomes an issue. A record without a usable medium is
        rejected.
        """
        media: dict[str, Any] = {}
        offsets: Offsets | None = None
        issues = []
        for name in self.spec.modalities.names:
            medium = getattr(record, name)
            if medium is None or medium == b"":
                continue
            try:
                content = self._content(name, medium, record.position.uri)
                kept = MEDIA[name].canonical(content, self.spec)
                if self.check:
                    MEDIA[name].check(kept)
            except MediumError as error:
                issues.append(f"{name}: {error.flaw}")
                continue
            media[name] = kept
            offsets = MEDIA[name].offsets(content, kept, self.spec) or offsets
        if not media:
            reason = Reason.UNREADABLE if issues else Reason.EMPTY
            return Rejected(
                record.id,
                record.position,
                stage="canonicalize",
                reason=reason,
                detail="; ".join(issues),
                payload_digest=payload_digest(record),
            )
        markers: dict[str, tuple[int, int]] = {}
        if self.spec.markers and "text" in media:
            markers, flaws = self._markers(record, media["text"].decode(), offsets)
            issues += flaws
        return CanonicalRecord(
            id=record.id,
            position=record.position,
            issues=tuple(issues),
            offsets=offsets,
            markers=markers,
            group=record.group,
            split=record.split,
            labels=record.labels,
            extra=record.extra,
            **media,
        )

    def _markers(
        self, record: RawRecord, content: str, offsets: Offsets | None
    ) -> tuple[dict[str, tuple[int, int]], list[str]]:
        """Returns the marked characters by task, and one issue if any marker is wrong."""
        markers: dict[str, tuple[int, int]] = {}
        flaws: list[str] = []
        for name, key in self.spec.markers.items():
            tokens = record.labels.get(self.spec.tasks[name].tokens or "")
            try:
                marked = spans.marked(record.labels.get(key), tokens, content, offsets)
            except LabelError:
                flaws = [f"marker: {Flaw.CORRUPT}"]
                continue
            if marked is not None:
                markers[name] = marked
        return markers, flaws

    def _content(self, name: str, medium: Medium, records_uri: str) -> bytes:
        if isinstance(medium, BrokenMedium):
            raise MediumError(Flaw.CORRUPT, medium.detail)
        if isinstance(medium, Uri):
            cap = MEDIA[name].most_bytes(self.spec.limits)
            return uris.fetch(medium.value, self._roots(records_uri), cap)
        return medium

    def _roots(self, records_uri: str) -> uris.Roots:
        return _roots(posixpath.dirname(records_uri), self.media_roots, self.watched)


class Canonicalize(beam.PTransform):
    """Canonicalizes raw records; returns `.records` (`CanonicalRecord`) and `.rejected`.

    Every input is in exactly one output; an error other than a flaw fails the bundle. Works on
    bounded and on unbounded input: elements keep their timestamps and windows. A few threads read
    and decode media while later steps run.

    Args:
        canonicalizer: Function that is applied to each record.
        held_bytes: Bytes of media that may wait for later steps, besides one record per thread.
    """

    def __init__(self, canonicalizer: Canonicalizer, held_bytes: int = HELD_BYTES) -> None:
        super().__init__()
        self._canonicalizer = canonicalizer
        self._held_bytes = held_bytes

    @classmethod
    def from_spec(cls, spec: str, media_roots: Sequence[str] = ()) -> Self:
        """Builds the step from a spec file, for other pipelines than Triad's.

        Each image is also decoded by the op of the feature graph, as in `triad preprocess`.

        Args:
            spec: Path of the YAML file.
            media_roots: Folders, besides that of the records file, from which media may be read.

        Raises:
            OptionsError: If the spec is wrong.

        Examples:
            >>> import apache_beam as beam
            >>> import triad_ml
            >>> with beam.Pipeline("FnApiRunner") as root:
            ...     read = root | triad_ml.ReadRecords(["records/*.jsonl"], labels=["category"])
            ...     canonical = read.records | triad_ml.Canonicalize.from_spec("spec.yaml")
            ...     _ = canonical.records | beam.Map(lambda record: record.present)
        """
        return cls(Canonicalizer(loading.load(spec), tuple(media_roots)))

    @no_annotations  # Beam warns about annotations that it cannot use
    def expand(self, records: beam.PCollection[RawRecord]) -> Canonicalized:
        canonicalize = beam.ParDo(_CanonicalizeDoFn(self._canonicalizer, self._held_bytes))
        canonicalize = canonicalize.with_output_types(CanonicalRecord)
        outputs = records | "Canonicalize" >> canonicalize.with_outputs(REJECTED, main="records")
        return Canonicalized(outputs["records"], outputs[REJECTED])


class _Pending(NamedTuple):
    outcome: concurrent.futures.Future[CanonicalRecord | Rejected | None]
    raw: WindowedValue
    stored: int


class _CanonicalizeDoFn(beam.DoFn):
    """Canonicalizes a few records at a time on threads, and outputs them in their order.

    A thread that finds `held_bytes` used up postpones its record, which is then processed when it
    is the next to output. So memory is bounded, by these bytes and one record per thread, and no
    thread ever waits.
    """

    _IN_WORK = 64

    def __init__(self, canonicalizer: Canonicalizer, held_bytes: int) -> None:
        self._canonicalizer = canonicalizer
        self._held_bytes = held_bytes

    def setup(self) -> None:
        self._threads = concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0)))

    def start_bundle(self) -> None:
        self._pending: collections.deque[_Pending] = collections.deque()
        self._held = _Held(self._held_bytes)

    def process(
        self,
        record: RawRecord,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> Iterator[_Output]:
        self._begin(WindowedValue(record, timestamp, (window,)))
        while len(self._pending) > self._IN_WORK or (self._pending and self._held.full):
            yield self._next()

    def finish_bundle(self) -> Iterator[_Output]:
        while self._pending:
            yield self._next()

    def teardown(self) -> None:
        self._threads.shutdown()

    def _begin(self, raw: WindowedValue) -> None:
        stored = media_bytes(raw.value)
        self._held.add(stored)
        future = self._threads.submit(self._unless_full, raw.value, self._held)
        self._pending.append(_Pending(future, raw, stored))

    def _unless_full(self, record: RawRecord, held: "_Held") -> CanonicalRecord | Rejected | None:
        if held.full:
            return None
        outcome = self._canonicalizer.canonical(record)
        held.add(media_bytes(outcome))
        return outcome

    def _next(self) -> _Output:
        future, raw, stored = self._pending.popleft()
        outcome = future.result()
        self._held.add(-stored)
        if outcome is None:
            self._begin_again()
            outcome = self._canonicalizer.canonical(raw.value)
        else:
            self._held.add(-media_bytes(outcome))
        _count(outcome)
        value = raw.with_value(outcome)
        return beam.pvalue.TaggedOutput(REJECTED, value) if isinstance(outcome, Rejected) else value

    def _begin_again(self) -> None:
        """Submits the postponed records to the threads again."""
        for index, (future, raw, stored) in enumerate(self._pending):
            if future.done() and future.result() is None:
                future = self._threads.submit(self._unless_full, raw.value, self._held)
                self._pending[index] = _Pending(future, raw, stored)


class _Held:
    """Number of bytes of media that are held, and its limit."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._held = 0
        self._lock = threading.Lock()

    @property
    def full(self) -> bool:
        return self._held >= self._room

    def add(self, count: int) -> None:
        with self._lock:
            self._held += count


def _count(outcome: CanonicalRecord | Rejected) -> None:
    _counter("records_in").inc()
    if isinstance(outcome, Rejected):
        live.add(1)
        _counter("records_rejected").inc()
        _counter(f"rejected_{outcome.reason}").inc()
        flaws: Sequence[str] = outcome.detail.split("; ") if outcome.detail else ()
        present: tuple[str, ...] = ()
    else:
        _counter("records_canonical").inc()
        flaws, present = outcome.issues, outcome.present
    for name in present:
        _counter(f"{name}_used").inc()
    for flaw in flaws:
        name, kind = flaw.split(": ")
        _counter(f"{name}_flawed").inc()
        _counter(f"{name}_{kind}").inc()


@functools.lru_cache(maxsize=256)
def _counter(name: str) -> Metrics.DelegatingCounter:
    return Metrics.counter(Canonicalize, name)


_roots = functools.lru_cache(maxsize=256)(uris.Roots)
"""Cached `uris.Roots`: many records have the same records file."""
