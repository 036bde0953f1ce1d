"""Streaming job on the local runner: arriving records -> scores, in micro-batches."""

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

_METRICS_SECONDS = 5.0
"""Least seconds between two writes of the metrics."""

_BEAM_ARGS = ("--no_pipeline_type_check",)
"""Beam's options: without the type check, which takes a seventh of a batch's time although all
batches are pipelines of the same types."""


@dataclasses.dataclass(frozen=True)
class Counts:
    """Number of records of a stream or a batch; `read` is the sum of `scored` and `rejected`."""

    read: int = 0
    scored: int = 0
    rejected: int = 0

    def plus(self, other: "Counts") -> "Counts":
        return Counts(
            self.read + other.read, self.scored + other.scored, self.rejected + other.rejected
        )


def run(config: StreamConfig, stop: Stop) -> Counts:
    """Scores records as they arrive, until `stop` is set.

    Every record is scored or rejected at least once. A batch that a kill interrupts is repeated at
    the next start; if the sink is a folder, it writes exactly the same files.

    Raises:
        OptionsError: If a model, source, sink or other output cannot be used.
        GateError: If the model is refused.
        StorageError: If a disk or a connection fails; the batch is then not marked as done.
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
        sink.sink(config, models.version.settings)  # reports an unusable sink before a batch
        metrics_file = _MetricsFile(config.metrics)
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
            metrics_file.write(source, version)
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
        metrics_file.write(source, models.version, at_once=True)
    _log.info("ended: %d read, %d scored, %d rejected", total.read, total.scored, total.rejected)
    summary.say(_log, summary.rejections(total.read, batches.losses.reasons))
    summary.say(_log, summary.media(batches.losses.media(models.version.settings.modalities)))
    return total


def _settle() -> None:
    """Exempts objects that live as long as a model from garbage collection.

    Collections that scanned them took 0.4 s, once a minute.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class _MetricsFile:
    """Writer of the metrics, if a file is named, at most once in `_METRICS_SECONDS`."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._last = 0.0

    def write(self, source: Source, version: Version, at_once: bool = False) -> None:
        now = time.monotonic()
        if self._path is None or (now - self._last < _METRICS_SECONDS and not at_once):
            return
        self._last = now
        metrics.waiting(source.load())
        metrics.model(version.name, version.digest)
        metrics.write(self._path)


class _Batches:
    """Runs batches, one after the other."""

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
            except (TriadError, RuntimeError):  # Beam wraps errors of steps in RuntimeError
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
        counters = results.counters(root.result)
        scored, rejected = counters.get("Stream.scored", 0), counters.get("Stream.rejected", 0)
        self._add_losses(Losses.of_counters(counters), version)
        return Counts(scored + rejected, scored, rejected)

    def _add_losses(self, lost: Losses, version: Version) -> None:
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
