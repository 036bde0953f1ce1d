"""Transform `triad_ml.Score` for users' own Beam pipelines: scores rows into rows with a schema."""

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

    It is a mapping, so that Beam YAML finds each output by its name.
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
    with the fields that a row of JSON Lines has, or a `RawRecord`, or a `Rejected` of
    `ReadRecords`. Each element becomes one row in exactly one of two outputs, `.scored` and
    `.rejected`. Rows keep the elements' windows, and their timestamps to the millisecond.
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
            media_roots: Folders in which media that rows name by path are searched. A row belongs
                to no folder, so without a media root each such medium is `forbidden`. A record of
                `ReadRecords` may name files in the folder of the file that it was read from.
            explain: True if classifications and regressions have the share of each modality, its
                Shapley value.

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

    @no_annotations  # Beam warns about annotations that it cannot use.
    def expand(self, rows: beam.PCollection[Any]) -> ScoredRows:
        settings = self._settings
        record = beam.ParDo(_RecordDoFn(self._labels)).with_output_types(RawRecord)
        read = rows | "Records" >> record.with_outputs(REJECTED, main="records")
        scores = read["records"] | "Score" >> self._score
        refused = read[REJECTED] | "KeyRefused" >> KeyRejected(settings.provenance.model)
        rejected = (refused, scores.rejected) | "AllRejected" >> beam.Flatten()
        scored_rows = beam.ParDo(_RowsDoFn(row_schema.scored_rows, settings))
        rejected_rows = beam.ParDo(_RowsDoFn(row_schema.rejected_rows, settings))
        # Beam 2.77 loses elements that a DoFn yields in `finish_bundle` if a step that consumes
        # batches follows, such as WriteToParquet. The steps "Scored" and "Rejected" avoid that,
        # since they yield from `process`.
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
            # Batches of a model lose the timestamps of their elements.
            position = dataclasses.replace(outcome.position, event_time=timestamp.micros // 1000)
            outcome = dataclasses.replace(outcome, position=position)
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
        rows = self._rows([element.value for element in held], self._settings) if held else []
        for element, row in zip(held, rows, strict=True):
            yield element.with_value(row)
