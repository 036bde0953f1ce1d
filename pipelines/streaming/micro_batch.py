"""One micro-batch of a stream as a pipeline: read -> score -> write."""

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
        root: Where to add.
        items: What the batch holds.
        batch: Its number and parts.
        score: Scores records; the very composite of the batch pipeline.
        sink: Where rows go.
        settings: What all rows have in common.
    """
    digest = settings.provenance.model
    reading = beam.ParDo(_ReadDoFn(items)).with_outputs(REJECTED, COUNTS, main="records")
    read = root | beam.Impulse() | "Read" >> reading
    scores = read["records"] | "Score" >> score
    refused = read[REJECTED] | "KeyRefused" >> KeyRejected(digest)
    # They meet in one shuffle, that no medium crosses. Each step more costs a batch milliseconds.
    _ = (
        (read[COUNTS], refused, scores.rejected, scores.scored)
        | "All" >> beam.Flatten()
        | "Together" >> beam.MapTuple(lambda _, value: (0, value))
        | "Meet" >> beam.GroupByKey()
        | "Write" >> beam.MapTuple(_Write(batch.number, batch.digest(digest), sink))
    )


class _ReadDoFn(beam.DoFn):
    """Records, refused records, and how many it read by item."""

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
    """Writes what a batch gave, if all of it is there."""

    number: int
    digest: str
    sink: Sink

    def __call__(self, _: int, met: Iterable[int | Scored | Rejected]) -> None:
        values = list(met)
        scored = [one for one in values if isinstance(one, Scored)]
        rejected = [one for one in values if isinstance(one, Rejected)]
        read = sum(one for one in values if isinstance(one, int))
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
