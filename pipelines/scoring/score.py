"""Composite transform `Score`: raw records to scored and rejected records."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.typehints.decorators import no_annotations

from triad_ml.model.serving.bundle import Artefact
from triad_ml.model.serving.scorer import Outcome, ScorerHandler
from triad_ml.pipelines.scoring import carry_over
from triad_ml.pipelines.storage import model_store
from triad_ml.pipelines.tables.keys import Key, KeyRejected, keyed
from triad_ml.transforms.media.canonicalize import Canonicalize, Canonicalizer
from triad_ml.transforms.records.values import CanonicalRecord, RawRecord, Rejected, Scored
from triad_ml.transforms.statistics import measures

REJECTED = "rejected"


class Scores(NamedTuple):
    """Outputs of `Score`: scored and rejected records, each with its key."""

    scored: beam.PCollection[tuple[Key, Scored]]
    rejected: beam.PCollection[tuple[Key, Rejected]]


class Score(beam.PTransform):
    """Scores raw records; each record is in exactly one output, `.scored` or `.rejected`.

    Outputs are pairs of a key and a row. The key is the record's id and the digest of the model
    that made the row. The timestamp of a row is the record's event time; if that is not known, the
    timestamp does not change. The transform depends on no source, sink or runner, so that batch and
    stream both use it.

    Args:
        canonicalizer: Makes records canonical. It need not check media: the model's batches do.
        handler: Model handler that returns one `Scored` or `Rejected` for each canonical record.
        model_digest: Digest in the keys of records that are rejected before scoring.
        earlier: Published run of the same model; records with content that it scored take its
            scores.
        share: Share of the records whose media are measured, see `statistics.sampling`; scored
            records have the measures. 0 measures none.
    """

    def __init__(
        self,
        canonicalizer: Canonicalizer,
        handler: ModelHandler[CanonicalRecord, Outcome, Any],
        model_digest: str,
        earlier: carry_over.Earlier | None = None,
        share: float = 0.0,
    ) -> None:
        super().__init__()
        self._share = share
        self._earlier = earlier
        self._canonicalizer = canonicalizer
        self._handler = handler
        self._model_digest = model_digest

    @classmethod
    def from_model(
        cls,
        model: Artefact,
        folder: str,
        media_roots: tuple[str, ...] = (),
        explain: bool = False,
        watched: str = "",
        earlier: carry_over.Earlier | None = None,
        share: float = 0.0,
    ) -> Self:
        """Builds the composite that scores with one model.

        Args:
            model: Model opened by `model_store.load`, which verifies it if there is a key.
            folder: Path of the model on workers, local or in a bucket. Each worker checks that the
                folder still holds `model`.
            media_roots: Folders in which media are searched, see `Canonicalizer`.
            explain: True if predictions have explanations.
            watched: Folder that a stream watches, see `Canonicalizer`; "" in batch.
            earlier: Published run of the same model, to carry scores over from.
            share: Share of the records whose media are measured.

        Raises:
            GateError: The folder holds another model, or one that does more than compute.
            OptionsError: `explain` is True, and the model cannot explain.
        """
        canonicalizer = Canonicalizer(model.spec, media_roots, check=False, watched=watched)
        handler = ScorerHandler(folder, model_store.local, explain, model.model_digest)
        return cls(canonicalizer, handler, model.model_digest, earlier, share)

    @no_annotations  # Beam warns about annotations that it cannot use.
    def expand(self, records: beam.PCollection[RawRecord]) -> Scores:
        canonical = records | "Canonicalize" >> Canonicalize(self._canonicalizer)
        to_score, carried = canonical.records, None
        if self._share:
            measure = beam.Map(measures.with_measures, self._canonicalizer.spec, self._share)
            to_score = to_score | "Measure" >> measure.with_output_types(CanonicalRecord)
        if self._earlier is not None:
            carried, to_score = to_score | "CarryOver" >> carry_over.CarryOver(self._earlier)
        outcomes = to_score | "RunInference" >> RunInference(self._handler)
        part = beam.ParDo(_PartDoFn(self._model_digest)).with_output_types(tuple[Key, Scored])
        parted = outcomes | "Part" >> part.with_outputs(REJECTED, main="scored")
        refused = canonical.rejected | "KeyRejected" >> KeyRejected(self._model_digest)
        rejected = (refused, parted[REJECTED]) | "Rejected" >> beam.Flatten()
        scored = parted["scored"]
        if carried is not None:
            key = beam.Map(keyed, self._model_digest).with_output_types(tuple[Key, Scored])
            scored = (scored, carried | "KeyCarried" >> key) | "Scored" >> beam.Flatten()
        return Scores(scored, rejected)


class _PartDoFn(beam.DoFn):
    def __init__(self, model_digest: str) -> None:
        self._model_digest = model_digest
        self._scored = Metrics.counter(Score, "records_scored")
        self._rejected = Metrics.counter(Score, "records_rejected")

    @no_annotations
    def process(self, outcome: Outcome) -> Iterator[object]:
        if isinstance(outcome, Rejected):
            self._rejected.inc()
            yield beam.pvalue.TaggedOutput(REJECTED, keyed(outcome, self._model_digest))
        else:
            self._scored.inc()
            yield keyed(outcome, self._model_digest)
