"""Beam pipeline of one micro-batch: read -> score -> write."""

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam
from apache_beam.typehints.decorators import no_annotations

from triad_ml.pipelines.scoring.score import REJECTED, Score
from triad_ml.pipelines.streaming import losses, metrics
from triad_ml.pipelines.streaming.interfaces import Batch, Item, Sink
from triad_ml.pipelines.tables.keys import KeyRejected
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.records.values import MODALITIES, Rejected, Scored

COUNTS = "counts"


def define_pipeline(
    root: beam.Pipeline,
    items: Sequence[Item],
    batch: Batch,
    score: Score,
    sink: Sink,
    settings: ScoreSchema,
) -> None:
    """Adds read, score and write of one micro-batch to `root`; runs nothing.

    Args:
        root: Pipeline to which the steps are added.
        items: Readers of the batch's parts.
        batch: Number and parts of the batch.
        score: Transform that scores records; the same composite as in the batch pipeline.
        sink: Sink of the rows.
        settings: Common properties of all rows.
    """
    digest = settings.provenance.model
    reading = beam.ParDo(_ReadDoFn(items)).with_outputs(REJECTED, COUNTS, main="records")
    read = root | beam.Impulse() | "Read" >> reading
    scores = read["records"] | "Score" >> score
    refused = read[REJECTED] | "KeyRefused" >> KeyRejected(digest)
    # One shuffle joins all outcomes, and no medium crosses it. Each further step would cost each
    # batch milliseconds.
    _ = (
        (read[COUNTS], refused, scores.rejected, scores.scored)
        | "All" >> beam.Flatten()
        | "Together" >> beam.MapTuple(lambda _, value: (0, value))
        | "Meet" >> beam.GroupByKey()
        | "Write" >> beam.MapTuple(_Write(batch.number, batch.digest(digest), sink))
    )


class _ReadDoFn(beam.DoFn):
    """Reads items: yields records, rejected records, and the number read from each item."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items

    @no_annotations
    def process(self, _: bytes) -> Iterator[object]:
        for item in self._items:
            count = 0
            for outcome in item.read():
                count += 1
                if isinstance(outcome, Rejected):
                    yield beam.pvalue.TaggedOutput(REJECTED, outcome)
                else:
                    yield outcome
            yield beam.pvalue.TaggedOutput(COUNTS, (None, count))


@dataclasses.dataclass(frozen=True)
class _Write:
    """Writes the outcome of a batch after checking that it covers every record that was read."""

    number: int
    digest: str
    sink: Sink

    def __call__(self, _: int, met: Iterable[int | Scored | Rejected]) -> None:
        values = list(met)
        scored = [value for value in values if isinstance(value, Scored)]
        rejected = [value for value in values if isinstance(value, Rejected)]
        read = sum(value for value in values if isinstance(value, int))
        if read != len(scored) + len(rejected):
            raise AssertionError(
                f"batch {self.number}: {read} records read, "
                f"{len(scored)} scored and {len(rejected)} rejected"
            )
        written = self.sink.write(self.number, self.digest, scored, rejected)
        lost = losses.count(*written)
        rows: list[Scored | Rejected] = [*written.scored, *written.rejected]
        times = [row.position.event_time for row in rows]
        metrics.durable(len(written.scored), len(written.rejected), times)
        metrics.media(lost.media(MODALITIES))
        latency = beam.metrics.Metrics.distribution("Stream", "latency_ms")
        now = time.time()
        for event_time in times:
            if event_time is not None:
                latency.update(max(0, int(now * 1000) - event_time))
