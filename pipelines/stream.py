"""The third pipeline: records as they arrive -> scores, in micro-batches on the local runner."""

import contextlib
import dataclasses
import logging
import os
import select
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import apache_beam as beam
from apache_beam.typehints.decorators import no_annotations

from model import artefact
from model.scorer import ScorerHandler
from pipelines import beam_metrics, options, score_plan, stream_config
from pipelines.keyed import KeyRejected
from pipelines.runs import RunSettings
from pipelines.score import REJECTED, Score
from pipelines.stream_config import StreamConfig
from pipelines.streaming import journal as journals
from pipelines.streaming import messages
from pipelines.streaming.batches import Batch, Item, Part, Source
from pipelines.streaming.file_sink import FileSink, Sink
from pipelines.streaming.folder import Folder
from transforms.canonicalize import Canonicalizer
from transforms.errors import TriadError
from transforms.records import RawRecord, Rejected, Scored

_log = logging.getLogger(__name__)


class Stop:
    """Asks a stream to end after the batch in hand. It may be set in a handler of signals."""

    def __init__(self) -> None:
        self._receiving, self._sending = os.pipe()

    def set(self) -> None:
        """Asks; a stream that waits wakes up."""
        os.write(self._sending, b".")

    def wait(self, seconds: float) -> bool:
        """Waits until it is set, or for some seconds; whether it is set."""
        return bool(select.select([self._receiving], [], [], seconds)[0])

    def is_set(self) -> bool:
        return self.wait(0)


Work = Callable[[StreamConfig, Stop], object]
"""Runs a stream until it is told to stop."""


@dataclasses.dataclass(frozen=True)
class Counts:
    """Records of a stream, or of one batch: `read` is `scored` and `rejected` together."""

    read: int = 0
    scored: int = 0
    rejected: int = 0

    def plus(self, other: "Counts") -> "Counts":
        return Counts(
            self.read + other.read, self.scored + other.scored, self.rejected + other.rejected
        )


def define_pipeline(
    root: beam.Pipeline,
    items: Sequence[Item],
    batch: Batch,
    score: Score,
    sink: Sink,
    settings: RunSettings,
) -> None:
    """Adds read, score and write of one micro-batch to `root`; runs nothing.

    Args:
        root: Where to add.
        items: What the batch holds.
        batch: Its number and parts.
        score: Scores records; the very composite of the batch pipeline.
        sink: Where rows go.
        settings: What all rows have in common.
    """
    model_digest = settings.provenance.model
    created = root | "Items" >> beam.Create(items, reshuffle=False)
    reading = beam.ParDo(_ReadDoFn()).with_output_types(RawRecord)
    read = created | "Read" >> reading.with_outputs(REJECTED, main="records")
    records, refused = read["records"], read[REJECTED]
    scores = records | "Score" >> score
    unread = refused | "KeyRefused" >> KeyRejected(model_digest)
    # They meet in one shuffle. A Flatten of records would hold all their media at once.
    met = {
        "read": records | "One" >> beam.Map(lambda _: (0, 1)),
        "refused": unread | "Refused" >> beam.Map(lambda row: (0, row)),
        "scored": scores.scored | "Scored" >> beam.Map(lambda row: (0, row)),
        "rejected": scores.rejected | "Rejected" >> beam.Map(lambda row: (0, row)),
    }
    write = _Write(batch.number, batch.digest(model_digest), sink)
    _ = met | "Meet" >> beam.CoGroupByKey() | "Write" >> beam.MapTuple(write)


class _ReadDoFn(beam.DoFn):
    @no_annotations
    def process(
        self, item: Item
    ) -> Iterator[RawRecord | beam.pvalue.TaggedOutput[Literal["rejected"], Rejected]]:
        for outcome in item.read():
            if isinstance(outcome, Rejected):
                yield beam.pvalue.TaggedOutput(REJECTED, outcome)
            else:
                yield outcome


@dataclasses.dataclass(frozen=True)
class _Write:
    """Writes what a batch gave, if all of it is there."""

    number: int
    digest: str
    sink: Sink

    def __call__(self, _: int, met: Mapping[str, Iterable[Any]]) -> None:
        scored: list[Scored] = [row for _, row in met["scored"]]
        rejected: list[Rejected] = [row for _, row in met["rejected"]]
        read = sum(met["read"])
        if read != len(scored) + len(rejected):
            raise AssertionError(
                f"batch {self.number}: {read} records read, "
                f"{len(scored)} scored and {len(rejected)} rejected"
            )
        rejected += [row for _, row in met["refused"]]
        counter = beam.metrics.Metrics.counter
        counter("Stream", "scored").inc(len(scored))
        counter("Stream", "rejected").inc(len(rejected))
        self.sink.write(self.number, self.digest, scored, rejected)


def run_until_signal(config: StreamConfig, work: Work | None = None) -> object:
    """Does `work`, else `run`, until SIGTERM or SIGINT. A second signal ends it at once."""
    stop = Stop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: object) -> None:
        stop.set()
        for one, handler in before.items():
            signal.signal(one, handler)

    for number in before:
        signal.signal(number, handle)
    try:
        return (work or run)(config, stop)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(config: StreamConfig, stop: Stop) -> Counts:
    """Scores records as they arrive, until it is told to stop.

    Every record is scored or rejected at least once. What a kill leaves undone is done by the next
    start: into the very same files, where the sink is a folder.

    Raises:
        OptionsError: A model, source or sink that cannot be used.
        GateError: A model that is refused.
        StorageError: Where a disk or a connection fails; nothing is marked as done.
    """
    model = artefact.load(config.model)
    settings = score_plan.run_settings(model, config.format)
    canonicalizer = Canonicalizer(model.spec, config.media_roots, check=False)
    score = Score(canonicalizer, ScorerHandler(config.model), settings.provenance.model)
    total = Counts()
    with contextlib.ExitStack() as stack:
        journal = journals.Journal(None)
        if config.state_folder is not None:
            written = [one for one in (config.sink,) if stream_config.kafka_place(one) is None]
            journal = stack.enter_context(journals.opened(config.state_folder, *written))
            journals.pin(config.state_folder, config.source_name)
        source = _source(config, model, journal)
        stack.callback(source.close)
        batches = _Batches(source, _sink(config, settings), journal, score, settings)
        _log.info(
            "%s -> %s: micro-batches on the local runner, at least once", config.source, config.sink
        )
        if journal.pending is not None:
            _log.info("batch %d was begun and not done: again", journal.pending.number)
            total = total.plus(batches.do(journal.pending))
        while not stop.is_set():
            parts = source.poll()
            if parts:
                total = total.plus(batches.do(journal.begin(parts)))
            elif config.until_empty and source.is_drained():
                break
            else:
                stop.wait(source.pause)
    _log.info("ended: %d read, %d scored, %d rejected", total.read, total.scored, total.rejected)
    return total


@dataclasses.dataclass(frozen=True)
class _Batches:
    """Does batches, one after the other."""

    source: Source
    sink: Sink
    journal: journals.Journal
    score: Score
    settings: RunSettings

    def do(self, batch: Batch) -> Counts:
        """Scores a batch, writes it, and only then notes that it is done."""
        parts = self._still_there(batch.parts)
        while True:
            try:
                counts = self._run(batch, parts)
                break
            except (TriadError, RuntimeError):  # as Beam wraps what a step raises
                left = self._still_there(parts)
                if left == parts:
                    raise
                parts = left
        self.journal.finish(batch, dataclasses.asdict(counts))
        self.source.done(batch.parts)
        self.journal.compact(self.source.needed)
        _log.info("batch %d: %d scored, %d rejected", batch.number, counts.scored, counts.rejected)
        return counts

    def _run(self, batch: Batch, parts: Sequence[Part]) -> Counts:
        items = self.source.items(parts)
        with beam.Pipeline(options=options.beam_options()) as root:
            define_pipeline(root, items, batch, self.score, self.sink, self.settings)
        found = beam_metrics.counters(root.result)
        scored, rejected = found.get("Stream.scored", 0), found.get("Stream.rejected", 0)
        return Counts(scored + rejected, scored, rejected)

    def _still_there(self, parts: Sequence[Part]) -> tuple[Part, ...]:
        left = self.source.unchanged(parts)
        for part in parts:
            if part not in left:
                _log.warning("%s: changed or gone before it was scored", part.source)
        return left


def _source(config: StreamConfig, model: artefact.Artefact, journal: journals.Journal) -> Source:
    given = [*journal.done, *(journal.pending.parts if journal.pending else ())]
    place = stream_config.kafka_place(config.source)
    if place is None:
        return Folder(
            config.source,
            model.spec.label_names,
            config.media_files,
            config.batch_records,
            config.poll_seconds,
            given,
        )
    from pipelines.streaming.kafka_source import KafkaSource

    parser = messages.parser(config, model.spec.label_names)
    return KafkaSource(
        *(*place, config.group, parser, config.batch_records, config.poll_seconds, given),
        config.kafka_config,
    )


def _sink(config: StreamConfig, settings: RunSettings) -> Sink:
    place = stream_config.kafka_place(config.sink)
    rejected = stream_config.kafka_place(config.rejected or "")
    if place is None or rejected is None:
        return FileSink(config.sink.rstrip("/"), settings, config.window)
    from pipelines.streaming.kafka_sink import KafkaSink

    return KafkaSink(*place, *rejected, settings, config.kafka_config)
