"""Outcome of a finished command for machines: one line of JSON, and Prometheus' text format."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from triad_ml.pipelines.storage import atomic

MARK = b"triad_batch_"
"""Prefix of all metric names; the first lines of a file that `write_metrics` wrote contain it."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Result of a command, with the numbers that its manifest records.

    Attributes:
        command: Name of the command.
        result: Path or URI of the manifest, or of the model's `triad.json`.
        complete: True if the result is there; a job that was only submitted has none yet.
        records: Numbers of records: `read`, `rejected`, and those kept by split or as `scored`.
        rejected: Numbers of rejected records by reason.
        media: By modality, the number of media that records `had`, and those not used by `flaws`.
        figures: By task, the main figures of the evaluation's test split, or else its eval split.
    """

    command: str
    result: str
    complete: bool = True
    records: Mapping[str, int] = dataclasses.field(default_factory=dict)
    rejected: Mapping[str, int] = dataclasses.field(default_factory=dict)
    media: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    figures: Mapping[str, Mapping[str, float | None]] = dataclasses.field(default_factory=dict)

    def line(self) -> str:
        """Returns the outcome as one line of JSON; its keys are the attributes."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)


def of_records(command: str, manifest: str, reasons: str) -> Outcome:
    """Reads the outcome of `triad preprocess` or `triad score` from its manifest.

    Args:
        command: Name of the command.
        manifest: Path or URI of the manifest.
        reasons: Key of the manifest with the numbers of rejected records by reason.

    Raises:
        StorageError: If it cannot be read.
    """
    content = atomic.read_if_there(manifest)
    if content is None:
        return Outcome(command, manifest, complete=False)
    found = json.loads(content)
    return Outcome(
        command,
        manifest,
        records=found["counts"],
        rejected=found[reasons],
        media=found["media"],
    )


def of_training(about: str) -> Outcome:
    """Reads the outcome of `triad train` from the model's `triad.json`.

    Raises:
        StorageError: If it cannot be read.
    """
    metrics = json.loads(atomic.read_bytes(about))["metrics"]
    split = next((name for name in ("test", "eval") if name in metrics), None)
    return Outcome("train", about, figures={} if split is None else metrics[split])


def write_metrics(path: str, outcome: Outcome) -> None:
    """Writes the outcome in Prometheus' text format; the file is replaced atomically.

    Args:
        path: Path of the file, which node_exporter's textfile collector reads.
        outcome: Outcome of a finished command.

    Raises:
        StorageError: If the file cannot be written.
    """
    import prometheus_client

    registry = prometheus_client.CollectorRegistry()
    gauges: dict[str, prometheus_client.Gauge] = {}
    for name, about, labels, value in _samples(outcome):
        if name not in gauges:
            names = ["command", *labels]
            gauges[name] = prometheus_client.Gauge(name, about, names, registry=registry)
        gauges[name].labels(outcome.command, *labels.values()).set(value)
    ended = "triad_batch_success_timestamp_seconds"
    about = "Time at which the command last ended with its result complete."
    if outcome.complete:
        gauge = prometheus_client.Gauge(ended, about, ["command"], registry=registry)
        gauge.labels(outcome.command).set_to_current_time()
    with atomic.explained(path):
        prometheus_client.write_to_textfile(path, registry)


Sample = tuple[str, str, Mapping[str, str], float]
"""Name, description, labels and value of a gauge."""


def _samples(outcome: Outcome) -> Iterator[Sample]:
    complete = "1 if the result is complete, 0 if a job was only submitted."
    yield "triad_batch_complete", complete, {}, float(outcome.complete)
    records = "Records of the last run, by what became of them."
    for name, count in outcome.records.items():
        yield "triad_batch_records", records, {"outcome": name}, count
    rejected = "Rejected records of the last run, by reason."
    for reason, count in outcome.rejected.items():
        yield "triad_batch_rejected", rejected, {"reason": reason}, count
    media = "Media of the last run: used, or not used for a flaw."
    for modality, counts in outcome.media.items():
        used = counts["had"] - sum(counts["flaws"].values())
        for state, count in {"used": used, **counts["flaws"]}.items():
            yield "triad_batch_media", media, {"modality": modality, "state": state}, count
    figure = "Figure of the trained model on held-out records."
    for task, figures in outcome.figures.items():
        for name, value in figures.items():
            if value is not None:
                yield "triad_batch_figure", figure, {"task": task, "figure": name}, value
