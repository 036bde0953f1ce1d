"""The third pipeline: records as they arrive -> scores, in micro-batches on the local runner."""

import contextlib
import dataclasses
import gc
import logging
import time
from collections.abc import Sequence

import apache_beam as beam

from triad_ml.pipelines.runners import beam_options as runners_beam_options
from triad_ml.pipelines.runners import results
from triad_ml.pipelines.runtime import summary
from triad_ml.pipelines.streaming import endpoints, metrics, micro_batch, rules
from triad_ml.pipelines.streaming import journal as journals
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.interfaces import Batch, Part, Source
from triad_ml.pipelines.streaming.jobs.stopping import Stop
from triad_ml.pipelines.streaming.losses import Losses, Window
from triad_ml.pipelines.streaming.model_versions import Models, Version, check_golden
from triad_ml.pipelines.tables.media_counts import IssuesLimits
from triad_ml.transforms.errors import TriadError

_log = logging.getLogger(__name__)

_TELL_SECONDS = 5.0

_BEAM_ARGS = ("--no_pipeline_type_check",)
"""Each batch is a pipeline of the same types: to check them takes a seventh of what it costs."""


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


def run(config: StreamConfig, stop: Stop) -> Counts:
    """Scores records as they arrive, until it is told to stop.

    Every record is scored or rejected at least once. What a kill leaves undone is done by the next
    start: into the very same files, where the sink is a folder.

    Raises:
        OptionsError: A model, source, sink or other output that cannot be used.
        GateError: A model that is refused.
        StorageError: Where a disk or a connection fails; nothing is marked as done.
    """
    rules.check_outputs(config)
    check_golden(config)
    rules.check_inputs(config)
    sink = endpoints.of(config.sink)
    total = Counts()
    with contextlib.ExitStack() as stack:
        journal = journals.Journal(None)
        if config.state_folder is not None:
            folder = sink.folder(config.sink)
            written = [] if folder is None else [config.sink]
            journal = stack.enter_context(journals.opened(config.state_folder, *written))
            journals.pin(config.state_folder, config.source_name)
        models = stack.enter_context(Models(config, journal.model))
        given = [*journal.done, *(journal.pending.parts if journal.pending else ())]
        labels = models.version.model.spec.label_names
        source = endpoints.of(config.source).source(config, labels, given)
        sink.sink(config, models.version.settings)  # one that cannot be used is told before a batch
        told = _Told(config.metrics)
        stack.callback(source.close)
        stack.callback(gc.unfreeze)
        batches = _Batches(config, source, journal)
        settled = None
        _log.info(
            "%s -> %s: micro-batches on the local runner, at least once", config.source, config.sink
        )
        if journal.pending is not None:
            _log.info("batch %d was begun and not done: again", journal.pending.number)
            version = models.made_by(journal.pending.model)
            total = total.plus(batches.do(journal.pending, version))
            models.keep_one()
        while not stop.is_set():
            parts = source.poll()
            version = models.at_boundary()
            told.say(source, version)
            if parts:
                metrics.began(source.load())
                batch = journal.begin(parts, version.digest)
                total = total.plus(batches.do(batch, version))
                if settled is not version:
                    settled = version
                    _settle()
            elif config.until_empty and source.is_drained():
                break
            else:
                metrics.idle()
                stop.wait(source.pause)
        told.say(source, models.version, at_once=True)
    _log.info("ended: %d read, %d scored, %d rejected", total.read, total.scored, total.rejected)
    summary.say(_log, summary.rejections(total.read, batches.losses.reasons))
    summary.say(_log, summary.media(batches.losses.media(models.version.settings.modalities)))
    return total


def _settle() -> None:
    """Spares later collections what lives as long as a model: they took 0.4 s, once a minute."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class _Told:
    """Writes the metrics, if a file is named, not more often than each `_TELL_SECONDS`."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._last = 0.0

    def say(self, source: Source, version: Version, at_once: bool = False) -> None:
        now = time.monotonic()
        if self._path is None or (now - self._last < _TELL_SECONDS and not at_once):
            return
        self._last = now
        metrics.waiting(source.load())
        metrics.model(version.name, version.digest)
        metrics.write(self._path)


class _Batches:
    """Does batches, one after the other."""

    def __init__(self, config: StreamConfig, source: Source, journal: journals.Journal) -> None:
        self.config = config
        self.source = source
        self.journal = journal
        self.losses = Losses()
        self._window = Window()

    def do(self, batch: Batch, version: Version) -> Counts:
        """Scores a batch, writes it, and only then notes that it is done."""
        start = time.monotonic()
        parts = self._still_there(batch.parts)
        while True:
            try:
                counts = self._run(batch, parts, version)
                break
            except (TriadError, RuntimeError):  # as Beam wraps what a step raises
                left = self._still_there(parts)
                if left == parts:
                    raise
                parts = left
        self.journal.finish(batch, dataclasses.asdict(counts))
        self.source.done(batch.parts)
        self.journal.compact(self.source.needed)
        seconds = time.monotonic() - start
        metrics.ended(seconds)
        _log.info(
            "batch %d: %d scored, %d rejected, %.2f s",
            *(batch.number, counts.scored, counts.rejected, seconds),
        )
        return counts

    def _run(self, batch: Batch, parts: Sequence[Part], version: Version) -> Counts:
        items = self.source.items(parts, version.model.spec.label_names)
        sink = endpoints.of(self.config.sink).sink(self.config, version.settings)
        beam_options = runners_beam_options.beam_options(beam_args=_BEAM_ARGS)
        with beam.Pipeline(options=beam_options) as root:
            micro_batch.define_pipeline(root, items, batch, version.score, sink, version.settings)
        found = results.counters(root.result)
        scored, rejected = found.get("Stream.scored", 0), found.get("Stream.rejected", 0)
        self._tell(Losses.of_counters(found), version)
        return Counts(scored + rejected, scored, rejected)

    def _tell(self, lost: Losses, version: Version) -> None:
        self.losses = self.losses.plus(lost)
        limits = IssuesLimits.of(version.model.spec, None)
        for line in self._window.add(lost.media(version.settings.modalities), limits):
            _log.warning("%s", line)

    def _still_there(self, parts: Sequence[Part]) -> tuple[Part, ...]:
        left = self.source.unchanged(parts)
        for part in parts:
            if part not in left:
                _log.warning("%s: changed or gone before it was scored", part.source)
        return left
