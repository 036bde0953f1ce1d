"""Metrics of a stream in Prometheus' text format: lag, latency, batches, queue, model.

They describe this process only. `write` writes them into a file, as node_exporter's textfile
collector and other agents read them.
"""

import time
from collections.abc import Iterable

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.streaming.interfaces import Load
from triad_ml.pipelines.tables.media_counts import Media

REGISTRY = CollectorRegistry()

MARK = b"triad_stream_"
"""Prefix of all metric names; the first lines of a file that `write` wrote contain it."""

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_SIZES = (1, 4, 16, 64, 256, 1024, 4096)
_BYTES = tuple(4.0**power for power in range(5, 15))

_records = Counter(
    "triad_stream_records", "Records whose outcome is durable.", ["outcome"], registry=REGISTRY
)
_media = Counter(
    "triad_stream_media",
    "Media of records whose outcome is durable: used, or not used for a flaw.",
    ["modality", "state"],
    registry=REGISTRY,
)
_latency = Histogram(
    "triad_stream_latency_seconds",
    "From a record's event time until its outcome was durable.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
_oldest = Gauge(
    "triad_stream_oldest_seconds",
    "Age of the oldest record of the last batch when it was durable; 0 once nothing waits.",
    registry=REGISTRY,
)
_behind = Gauge(
    "triad_stream_behind", "Messages or files that were not yet begun.", registry=REGISTRY
)
_held_back = Gauge(
    "triad_stream_held_back",
    "Offsets behind open transactions, which cannot be read yet.",
    registry=REGISTRY,
)
_passed_over = Gauge(
    "triad_stream_passed_over",
    "Files and folders of a watched folder that are not read; the log names each.",
    registry=REGISTRY,
)
_queue = Gauge(
    "triad_stream_queue_messages", "Fetched, and in no batch that is done.", registry=REGISTRY
)
_queue_bytes = Gauge("triad_stream_queue_bytes", "What the queue takes.", registry=REGISTRY)
_batch_records = Histogram(
    "triad_stream_batch_records", "Records of a batch.", buckets=_SIZES, registry=REGISTRY
)
_batch_bytes = Histogram(
    "triad_stream_batch_bytes", "Bytes of a batch's input.", buckets=_BYTES, registry=REGISTRY
)
_batch_seconds = Histogram(
    "triad_stream_batch_seconds",
    "From a batch's begin until it was done.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
_model = Gauge(
    "triad_stream_model_info", "1 for the model that scores.", ["name", "digest"], registry=REGISTRY
)
_changes = Counter("triad_stream_model_changes", "New models taken.", registry=REGISTRY)
_refusals = Counter("triad_stream_model_refusals", "New models refused.", registry=REGISTRY)
_removed = Counter(
    "triad_stream_removed",
    "Offsets that a log removed before they were read.",
    registry=REGISTRY,
)
_alive = Gauge(
    "triad_stream_alive_timestamp_seconds", "When the stream last wrote this.", registry=REGISTRY
)


def names() -> list[str]:
    """Returns the names of all metrics, without the series of histograms."""
    return sorted(
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in REGISTRY.collect()
    )


def durable(scored: int, rejected: int, event_times: Iterable[int | None]) -> None:
    """Counts the outcome of a batch; called at the moment when it is durable.

    Args:
        scored: Number of scored records.
        rejected: Number of rejected records.
        event_times: Event times of all these records, in milliseconds since 1970; None if unknown.
    """
    now = time.time()
    ages = [max(0.0, now - at / 1000) for at in event_times if at is not None]
    for age in ages:
        _latency.observe(age)
    _oldest.set(max(ages, default=0.0))
    _records.labels("scored").inc(scored)
    _records.labels("rejected").inc(rejected)
    _batch_records.observe(scored + rejected)


def media(counts: Media) -> None:
    """Counts the media of a batch: used ones, and unused ones by flaw."""
    for modality, count in counts.items():
        _media.labels(modality, "used").inc(count.had - count.lost)
        for flaw, number in count.flaws.items():
            _media.labels(modality, flaw).inc(number)


def began(load: Load) -> None:
    """Notes the backlog and the batch's size as a batch begins."""
    _batch_bytes.observe(load.held_bytes)
    waiting(load)


def waiting(load: Load) -> None:
    """Notes the backlog."""
    _behind.set(load.behind)
    _held_back.set(load.held_back)
    _passed_over.set(load.passed_over)
    _queue.set(load.held + load.queued)
    _queue_bytes.set(load.held_bytes + load.queued_bytes)


def ended(seconds: float) -> None:
    """Notes the duration of a batch."""
    _batch_seconds.observe(seconds)


def idle() -> None:
    """Notes that no record waits."""
    _oldest.set(0)


def model(name: str, digest: str) -> None:
    """Notes the model that scores now."""
    _model.clear()
    _model.labels(name, digest).set(1)


def model_changed() -> None:
    """Counts a new model that takes over."""
    _changes.inc()


def model_refused() -> None:
    """Counts a new model that is refused."""
    _refusals.inc()


def removed(offsets: int) -> None:
    """Counts offsets that a topic removed before they were read."""
    _removed.inc(offsets)


def write(path: str) -> None:
    """Writes all metrics; the file is replaced atomically.

    Raises:
        StorageError: If the file cannot be written.
    """
    _alive.set_to_current_time()
    with atomic.explained(path):
        prometheus_client.write_to_textfile(path, REGISTRY)
