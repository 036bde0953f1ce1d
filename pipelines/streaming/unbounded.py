"""Unbounded graph for any runner: messages, or the records read from them, -> rows by key."""

from collections.abc import Iterator

import apache_beam as beam
from apache_beam.typehints.decorators import no_annotations

from triad_ml.pipelines.scoring.score import REJECTED, Score, Scores
from triad_ml.pipelines.streaming.messages.parser import Message, Parser
from triad_ml.pipelines.tables.keys import KeyRejected
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.records.values import RawRecord, Rejected


def define_pipeline(
    messages: beam.PCollection[Message], parser: Parser, score: Score, settings: ScoreSchema
) -> Scores:
    """Adds parse and score to the pipeline of `messages`; runs nothing.

    The graph holds no state and shuffles nothing, so a runner that fuses it with the source and the
    sink acknowledges a message only once its row is written.

    Args:
        messages: Messages of any log, bounded or not.
        parser: Parser of messages.
        score: Transform that scores records; the same composite as in the batch pipeline.
        settings: Common properties of all rows.

    Returns:
        One row for each message, in exactly one of `scored` and `rejected`, at the message's time
        if it has one.
    """
    parse = beam.ParDo(_ParseDoFn(parser)).with_output_types(RawRecord | Rejected)
    return score_read(messages | "Parse" >> parse, score, settings)


def score_read(
    read: beam.PCollection[RawRecord | Rejected], score: Score, settings: ScoreSchema
) -> Scores:
    """Adds score to the pipeline of `read`, a source's raw records; see `define_pipeline`."""
    part = beam.ParDo(_PartDoFn()).with_output_types(RawRecord)
    parted = read | "PartRead" >> part.with_outputs(REJECTED, main="records")
    scores = parted["records"] | "Score" >> score
    refused = parted[REJECTED] | "KeyRefused" >> KeyRejected(settings.provenance.model)
    rejected = (refused, scores.rejected) | "AllRejected" >> beam.Flatten()
    return Scores(scores.scored, rejected)


class _ParseDoFn(beam.DoFn):
    def __init__(self, parser: Parser) -> None:
        self._parser = parser

    @no_annotations
    def process(self, message: Message) -> Iterator[RawRecord | Rejected]:
        yield self._parser.parse(message)


class _PartDoFn(beam.DoFn):
    @no_annotations
    def process(self, outcome: RawRecord | Rejected) -> Iterator[object]:
        if isinstance(outcome, Rejected):
            yield beam.pvalue.TaggedOutput(REJECTED, outcome)
        else:
            yield outcome
