"""Scoring as a step of other people's pipelines: rows in, rows with a schema out."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self, TypeVar

import apache_beam as beam
from apache_beam.typehints.decorators import no_annotations
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from triad_ml.pipelines.scoring import row_schema
from triad_ml.pipelines.scoring.score import REJECTED, Score
from triad_ml.pipelines.sources import rows as sources_rows
from triad_ml.pipelines.storage import model_store
from triad_ml.pipelines.tables import schema
from triad_ml.pipelines.tables.keys import Key, KeyRejected
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.records.values import RawRecord, Rejected, Scored

_Outcome = TypeVar("_Outcome", Scored, Rejected)


class ScoredRows(dict[str, "beam.PCollection[beam.Row]"]):
    """Outputs of `ScoreRows` by name: `scored` and `rejected`.

    It is a mapping so that Beam YAML finds each output by its name.
    """

    @property
    def scored(self) -> "beam.PCollection[beam.Row]":
        """Rows with the columns of published scores."""
        return self["scored"]

    @property
    def rejected(self) -> "beam.PCollection[beam.Row]":
        """Rows with the columns of published rejected records."""
        return self["rejected"]


class ScoreRows(beam.PTransform):
    """Scores rows with a model; `triad_ml.Score` is this class.

    It is built with `from_model`. Each element of the input is a dict, `beam.Row` or named tuple
    with the fields that a row of JSON Lines has, or a `RawRecord`; a `Rejected` of `ReadRecords`
    may be one too. Each gives one row in exactly one of two outputs, `.scored` and `.rejected`;
    elements keep their windows, and their timestamps to the millisecond.
    The predictions are those of `triad score`, bit for bit, since both run the same composite.

    `.scored` has a schema with the columns of published scores: `id`, `id_int`, a nested row for
    each task, `modalities_used`, `issues` and the digests. Fields that the model does not use are
    in the column `other_fields`, as one JSON object. `.rejected` has the columns of published
    rejected records: `id`, `source`, `stage`, `reason`, `detail` and the digests.

    Examples:
        >>> import apache_beam as beam
        >>> import triad_ml
        >>> rows = [{"id": "a", "text": "a fan rattles"}, {"id": "b"}]
        >>> with beam.Pipeline("FnApiRunner") as root:
        ...     scores = root | beam.Create(rows) | triad_ml.Score.from_model("model")
        ...     labels = scores.scored | "Labels" >> beam.Map(lambda row: row.category.label)
        ...     _ = scores.rejected | "Why" >> beam.Map(lambda row: print(row.id, row.reason))
        b empty
    """

    def __init__(self, score: Score, settings: ScoreSchema, labels: tuple[str, ...]) -> None:
        super().__init__()
        self._score = score
        self._settings = settings
        self._labels = labels

    @classmethod
    def from_model(
        cls,
        model: str,
        verify_key: str | None = None,
        media_roots: Sequence[str] = (),
        explain: bool = False,
    ) -> Self:
        """Builds the step from a model folder.

        The model is opened and its digests are checked here, and again by each worker, which loads
        it once. Workers need Triad installed in the same version, and the folder under the same
        path; a folder in a bucket is copied to each worker.

        Args:
            model: Model folder, local or `gs://`, or a folder whose `CURRENT` names one.
            verify_key: PEM file of the public key that the model must be signed with.
            media_roots: Folders in which media that rows name by path are looked for; a row has no
                folder of its own, so without one each such medium is `forbidden`. A record of
                `ReadRecords` may name files beside the file that it was read from.
            explain: Whether each classification says what each modality is worth to it.

        Raises:
            OptionsError: There is no complete model, the key cannot be used, or the model cannot
                explain.
            GateError: A file of the model is not the one that was exported or signed, or the model
                could do more than compute.

        Examples:
            >>> import triad_ml
            >>> step = triad_ml.Score.from_model("model", media_roots=["records"], explain=True)
        """
        folder = model_store.resolved(model)
        opened = model_store.load(folder, verify_key)
        settings = schema.score_schema(opened, "parquet", explain)
        score = Score.from_model(opened, folder, tuple(media_roots), explain)
        return cls(score, settings, tuple(opened.spec.label_names))

    @no_annotations  # Beam warns of each that it cannot use
    def expand(self, rows: beam.PCollection[Any]) -> ScoredRows:
        settings = self._settings
        record = beam.ParDo(_RecordDoFn(self._labels)).with_output_types(RawRecord)
        read = rows | "Records" >> record.with_outputs(REJECTED, main="records")
        scores = read["records"] | "Score" >> self._score
        refused = read[REJECTED] | "KeyRefused" >> KeyRejected(settings.provenance.model)
        rejected = (refused, scores.rejected) | "AllRejected" >> beam.Flatten()
        scored_rows = beam.ParDo(_RowsDoFn(row_schema.scored_rows, settings))
        rejected_rows = beam.ParDo(_RowsDoFn(row_schema.rejected_rows, settings))
        # Beam 2.77 loses what a DoFn gives at the end of a bundle to a consumer of batches, such as
        # WriteToParquet. What the steps "Scored" and "Rejected" give comes from `process`.
        scored = beam.Map(_same).with_output_types(row_schema.scored_type(settings))
        refusals = beam.Map(_same).with_output_types(row_schema.rejected_type(settings))
        return ScoredRows(
            scored=scores.scored | "ScoredRows" >> scored_rows | "Scored" >> scored,
            rejected=rejected | "RejectedRows" >> rejected_rows | "Rejected" >> refusals,
        )


@no_annotations
def _same(row: beam.Row) -> beam.Row:
    return row


class _RecordDoFn(beam.DoFn):
    def __init__(self, labels: tuple[str, ...]) -> None:
        self._labels = frozenset(labels)

    @no_annotations
    def process(self, row: object, timestamp: Any = beam.DoFn.TimestampParam) -> Iterator[object]:
        outcome = sources_rows.read(row, sources_rows.position(), self._labels)
        if outcome.position.event_time is None and timestamp != MIN_TIMESTAMP:
            # Batches of a model forget the times of what is in them.
            place = dataclasses.replace(outcome.position, event_time=timestamp.micros // 1000)
            outcome = dataclasses.replace(outcome, position=place)
        if isinstance(outcome, Rejected):
            yield beam.pvalue.TaggedOutput(REJECTED, outcome)
        else:
            yield outcome


class _RowsDoFn(beam.DoFn):
    """Makes rows of many outcomes at once, since a table of one row costs nearly as much."""

    _HELD = 256

    def __init__(
        self, rows: Callable[[Sequence[Any], ScoreSchema], list[beam.Row]], settings: ScoreSchema
    ) -> None:
        self._rows = rows
        self._settings = settings

    def start_bundle(self) -> None:
        self._held: list[WindowedValue] = []

    @no_annotations
    def process(
        self,
        keyed: tuple[Key, _Outcome],
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> Iterator[WindowedValue]:
        self._held.append(WindowedValue(keyed[1], timestamp, (window,)))
        if len(self._held) == self._HELD:
            yield from self._released()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield from self._released()

    def _released(self) -> Iterator[WindowedValue]:
        held, self._held = self._held, []
        rows = self._rows([one.value for one in held], self._settings) if held else []
        for one, row in zip(held, rows, strict=True):
            yield one.with_value(row)
