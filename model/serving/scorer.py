"""Scoring with the SavedModel, and the Beam model handler: fixed batch shape, no lost record."""

import concurrent.futures
import dataclasses
import functools
import re
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from apache_beam.ml.inference.base import ModelHandler

from triad_ml.model.serving import bundle, contract, explanations, safety
from triad_ml.model.serving.export import FEATURES
from triad_ml.model.tasks.base import Arrays
from triad_ml.model.tasks.heads import heads_of
from triad_ml.transforms.errors import GateError
from triad_ml.transforms.features import batching
from triad_ml.transforms.features.ids import NO_MARKER
from triad_ml.transforms.media.registry import MEDIA
from triad_ml.transforms.records import live
from triad_ml.transforms.records.digests import content_digest, media_bytes, payload_digest
from triad_ml.transforms.records.values import (
    CanonicalRecord,
    Flaw,
    MediumError,
    Reason,
    Rejected,
    Scored,
)

Outcome = Scored | Rejected
Signature = Callable[..., Mapping[str, tf.Tensor]]
"""Function from canonical bytes, string `[batch]` by modality, and markers to outputs by name.

See `export.ServingModule.signatures`.
"""

_CALLS_IN_FLIGHT = 2
"""Number of batches that are scored at the same time."""
_OP_MESSAGE = re.compile(r"^(.+)\n\t \[\[\{\{node ", re.MULTILINE)


class Scorer:
    """Loaded model that scores records.

    Every call has the same shape, so a score is the same to the last bit, whichever and however
    many other records are scored with it.

    Args:
        model: Model bundle to load.
        signatures: Functions to call instead of the SavedModel's signatures, by name.
        explain: True to add explanations to predictions.

    Attributes:
        modalities: Names of the spec's modalities.
        batch_size: Number of rows in every call of the model.

    Raises:
        GateError: If the SavedModel could do more than compute, is malformed, or is not the one
            that was opened.
        OptionsError: If explanations are requested, and the model has none.
    """

    def __init__(
        self,
        model: bundle.Artefact,
        signatures: Mapping[str, Signature] | None = None,
        explain: bool = False,
    ) -> None:
        self._scoring = explanations.signature(explain)
        self._explain = explanations.Rows(model) if explain else explanations.no_row
        self.modalities = model.spec.modalities.names
        heads = heads_of(model.spec, model.classes)
        self._heads = {task: heads[task] for task in model.classes}
        self._marked = tuple(model.spec.markers)
        if signatures is None:
            self._loaded = safety.load(model.saved_model, model.saved_files)
            signatures = self._loaded.signatures
            explanations.check(model, signatures, self._scoring)
            contract.check(model, self._scoring, signatures[self._scoring])
        self._signatures = signatures
        self._threads = concurrent.futures.ThreadPoolExecutor(_CALLS_IN_FLIGHT)
        self._model_digest = model.model_digest
        self.batch_size = model.batch_size

    def score(self, records: Sequence[CanonicalRecord]) -> list[Outcome]:
        """Scores records; one on which the model fails is rejected without effect on the others."""
        batches = [
            records[start : start + self.batch_size]
            for start in range(0, len(records), self.batch_size)
        ]
        scored = self._threads.map(self._score, batches)
        outcomes = [outcome for batch in scored for outcome in batch]
        if len(outcomes) != len(records):
            raise AssertionError(f"{len(records)} records gave {len(outcomes)} outcomes")
        return outcomes

    def features(self, records: Sequence[CanonicalRecord]) -> Arrays:
        """Computes the features of at most one batch, by name, in the records' order."""
        return self._call(FEATURES, records)

    def outputs(self, records: Sequence[CanonicalRecord]) -> Arrays:
        """Computes the serving outputs of at most one batch, by name, in the records' order.

        They include the shares of explanations if those are requested.
        """
        return self._call(self._scoring, records)

    def _call(self, signature: str, records: Sequence[CanonicalRecord]) -> Arrays:
        padding = [b""] * (self.batch_size - len(records))
        media = {
            name: tf.constant([getattr(record, name) for record in records] + padding, tf.string)
            for name in self.modalities
        }
        for task in self._marked:
            markers = [record.markers.get(task, NO_MARKER) for record in records]
            markers += [NO_MARKER] * len(padding)
            media[f"marker_{task}"] = tf.constant(markers, tf.int64)
        outputs = self._signatures[signature](**media)
        arrays = {name: value.numpy() for name, value in outputs.items()}
        for name, array in arrays.items():
            if len(array) != self.batch_size:
                raise AssertionError(f"{name}: {self.batch_size} rows in, {len(array)} rows out")
        return {name: array[: len(records)] for name, array in arrays.items()}

    def _score(self, records: Sequence[CanonicalRecord]) -> list[Outcome]:
        try:
            outputs = self.outputs(records)
        except tf.errors.InvalidArgumentError as error:
            return self._score_mended(records, error)
        return self._scored(records, outputs)

    def _score_mended(
        self, records: Sequence[CanonicalRecord], error: tf.errors.InvalidArgumentError
    ) -> list[Outcome]:
        """Scores a failed batch again, without the media that the graph cannot read.

        If all media are readable, halves the batch until a failing record is alone; rejects it.
        """
        mended = [_without_unreadable(record) for record in records]
        if all(after is before for after, before in zip(mended, records, strict=True)):
            if len(records) == 1:
                return [self._rejected(records[0], Reason.MODEL_FAILED, _message(error))]
            half = len(records) // 2
            return [*self._score(records[:half]), *self._score(records[half:])]
        with_media = [record for record in mended if record.present]
        scored = iter(self._score(with_media) if with_media else [])
        return [
            _of_whole(next(scored), before)
            if after.present
            else self._rejected(before, Reason.UNREADABLE, "; ".join(after.issues))
            for after, before in zip(mended, records, strict=True)
        ]

    def _scored(self, records: Sequence[CanonicalRecord], outputs: Arrays) -> list[Outcome]:
        finite = np.ones(len(records), bool)
        for head in self._heads.values():
            finite &= head.finite(outputs)
        readers = {task: head.reader(outputs) for task, head in self._heads.items()}
        outcomes: list[Outcome] = []
        for row, record in enumerate(records):
            if not finite[row]:
                outcomes.append(
                    self._rejected(record, Reason.MODEL_FAILED, "a score is not finite")
                )
                continue
            predictions = {
                task: read(row, record, self._explain(task, outputs, row))
                for task, read in readers.items()
            }
            outcomes.append(
                Scored(
                    record.id,
                    record.position,
                    predictions,
                    record.present,
                    record.issues,
                    record.extra,
                    content_digest(record),
                    self._model_digest,
                    record.measures,
                )
            )
        return outcomes

    def _rejected(self, record: CanonicalRecord, reason: Reason, detail: str) -> Rejected:
        digest = payload_digest(record)
        return Rejected(
            record.id, record.position, "score", reason, detail, digest, self._model_digest
        )


class ScorerHandler(ModelHandler[CanonicalRecord, Outcome, Scorer]):
    """Beam model handler for canonical records: one outcome per record, in order.

    Args:
        model_folder: Path of the model bundle from `triad train`; each process loads it once.
        fetch: Function that returns the path of a local copy of the bundle, in any process.
        explain: True to add explanations to predictions.
        model_digest: Digest of the model that was opened and verified before; None accepts the
            model in the folder.

    Raises:
        GateError: If the folder holds another model, or one that does more than compute.
        OptionsError: If there is no complete model, or if explanations are requested, and the model
            has none.
    """

    def __init__(
        self,
        model_folder: str,
        fetch: Callable[[str], str] = str,
        explain: bool = False,
        model_digest: str | None = None,
    ) -> None:
        super().__init__()
        model = _opened(fetch(model_folder), model_digest)
        # Checked here too, so that a bad model is reported before any record is read.
        signatures = safety.check_folder(model.saved_model)
        explanations.check(model, signatures, explanations.signature(explain))
        self._model_folder = model_folder
        self._fetch = fetch
        self._explain = explain
        self._model_digest = model.model_digest
        self._batch_size = _CALLS_IN_FLIGHT * model.batch_size

    def load_model(self) -> Scorer:
        return load_scorer(self._fetch(self._model_folder), self._model_digest, self._explain)

    def run_inference(
        self,
        batch: Sequence[CanonicalRecord],
        model: Scorer,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[Outcome]:
        outcomes = model.score(batch)
        assert len(outcomes) == len(batch)
        live.add(len(batch))
        return outcomes

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        """Limits a batch by the number of records, and by the memory that their media take."""
        return batching.kwargs(self._batch_size, batching.record_room)

    def get_num_bytes(self, batch: Sequence[CanonicalRecord]) -> int:
        return sum(map(media_bytes, batch))

    def get_metrics_namespace(self) -> str:
        return "Score"


_alive: "weakref.WeakValueDictionary[tuple[str, str, bool], Scorer]" = weakref.WeakValueDictionary()


@functools.lru_cache(maxsize=2)
def load_scorer(model_folder: str, model_digest: str, explain: bool, /) -> Scorer:
    """Loads the model of a bundle once per process, separately with and without explanations.

    The arguments are positional only, because the cache would treat a keyword as another model.

    Raises:
        GateError: If the folder holds another model than the one with this digest.
    """
    alive = _alive.get((model_folder, model_digest, explain))
    if alive is not None:
        return alive
    model = _opened(model_folder, model_digest)
    scorer = _alive[model_folder, model_digest, explain] = Scorer(model, explain=explain)
    return scorer


def _opened(model_folder: str, model_digest: str | None) -> bundle.Artefact:
    model = bundle.load(model_folder)
    if model_digest is not None and model.model_digest != model_digest:
        raise GateError(
            f"{model_folder}: holds model {model.model_digest[:12]}, not {model_digest[:12]}; "
            "leave a model's folder as it is while a job runs, and start the job again"
        )
    return model


def keep_only(model_folder: str, model_digest: str) -> None:
    """Releases every other model; its memory is freed as soon as no batch uses it."""
    kept = load_scorer(model_folder, model_digest, False)
    load_scorer.cache_clear()
    assert load_scorer(model_folder, model_digest, False) is kept


def _without_unreadable(record: CanonicalRecord) -> CanonicalRecord:
    """Empties the media that the graph cannot decode, and notes them as issues."""
    lost: dict[str, Flaw] = {}
    for name in record.present:
        try:
            MEDIA[name].check(getattr(record, name))
        except MediumError as error:
            lost[name] = error.flaw
    if not lost:
        return record
    issues = (*(f"{name}: {flaw}" for name, flaw in lost.items()), *record.issues)
    empty: dict[str, Any] = dict.fromkeys(lost, b"")
    return dataclasses.replace(record, **empty, issues=issues)


def _of_whole(outcome: Outcome, record: CanonicalRecord) -> Outcome:
    """Sets the digest of an outcome to that of the original record with all its media."""
    if isinstance(outcome, Rejected):
        return dataclasses.replace(outcome, payload_digest=payload_digest(record))
    return dataclasses.replace(outcome, content_digest=content_digest(record))


def _message(error: tf.errors.OpError) -> str:
    """Returns the message of the failing op, without names of graph functions, which vary."""
    match = _OP_MESSAGE.search(str(error.message))
    return (match[1] if match else str(error.message).splitlines()[0])[:200]
