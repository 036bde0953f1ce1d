"""Model loaded into this process, which scores records without a pipeline and without files."""

import collections
import concurrent.futures
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import overload

from triad_ml.model.serving.bundle import Artefact
from triad_ml.model.serving.scorer import Outcome, Scorer, load_scorer
from triad_ml.pipelines.sources import rows as sources_rows
from triad_ml.pipelines.sources.rows import Row
from triad_ml.pipelines.storage import model_store
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.features import batching
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import CanonicalRecord, RawRecord, Rejected
from triad_ml.transforms.spec.spec import Spec

_AHEAD = 64
"""Largest number of records whose media are read and decoded ahead, while a batch is scored."""


class Model:
    """Loaded model, as `load_model` returns it.

    The predictions are those of `triad score`, bit for bit: the same code makes records canonical,
    and the SavedModel is called with the same shape whatever the number of records.

    Several threads may use a model at once. A process that is forked from this one must load the
    model again, as TensorFlow does not survive a fork.

    Attributes:
        spec: Spec that the model was trained with.
        classes: Classes by task, in the order of a prediction's distribution.
        digest: SHA-256 of the SavedModel's files and the batch size, as each published row has it.
    """

    def __init__(self, model: Artefact, scorer: Scorer, media_roots: tuple[str, ...] = ()) -> None:
        self.spec: Spec = model.spec
        self.classes: Mapping[str, tuple[str, ...]] = model.classes
        self.digest: str = model.model_digest
        self._scorer = scorer
        self._labels = frozenset(self.spec.label_names)
        self._canonicalizer = Canonicalizer(self.spec, media_roots, check=False)

    @overload
    def score(self, records: Row) -> Outcome: ...

    @overload
    def score(self, records: Iterable[Row]) -> Iterator[Outcome]: ...

    def score(self, records: Row | Iterable[Row]) -> Outcome | Iterator[Outcome]:
        """Scores one record, or many.

        A record is a dict with the fields that a row of JSON Lines has (`id`, `image`, `audio`,
        `text`, and any others, which pass through), a `beam.Row`, a named tuple, or a `RawRecord`.
        An image or audio is given as bytes, or as the path of a file below one of the model's
        `media_roots`.

        Args:
            records: One record, or an iterable of records. Batches are made here: pass all records
                in one call, instead of one record in each of many calls.

        Returns:
            For one record, its `Scored` or `Rejected`. For an iterable, an iterator that reads the
            records lazily, holds a few batches in memory, and yields exactly one `Scored` or
            `Rejected` for each record, in their order. A broken record is rejected, and the others
            are scored.

        Raises:
            OptionsError: `records` is a string or bytes.
            OSError: A disk or a connection fails while a medium is read.

        Examples:
            >>> import triad_ml
            >>> model = triad_ml.load_model("model")
            >>> outcome = model.score({"id": "a", "text": "a fan rattles"})
            >>> outcome.predictions["category"].label in model.classes["category"]
            True
            >>> [type(one).__name__ for one in model.score([{"id": "b", "text": "a"}, {"id": "c"}])]
            ['Scored', 'Rejected']
        """
        if isinstance(records, str | bytes):
            raise OptionsError(
                f"records: a {type(records).__name__} is no record; give a dict with the field id, "
                "or a list of such dicts; files are scored by triad_ml.score"
            )
        if isinstance(records, RawRecord | Mapping) or hasattr(records, "_asdict"):
            (outcome,) = self._outcomes([self._canonical(records, 0)])
            return outcome
        return self._scored(records)

    def _scored(self, records: Iterable[object]) -> Iterator[Outcome]:
        held: list[CanonicalRecord | Rejected] = []
        room = 0
        for record in self._canonical_ahead(records):
            held.append(record)
            room += 0 if isinstance(record, Rejected) else batching.record_room(record)
            if len(held) == 2 * self._scorer.batch_size or room >= batching.ROOM:
                yield from self._outcomes(held)
                held, room = [], 0
        yield from self._outcomes(held)

    def _canonical_ahead(self, records: Iterable[object]) -> Iterator[CanonicalRecord | Rejected]:
        """Makes records canonical in a few threads, and yields them in their order."""
        pending: collections.deque[concurrent.futures.Future[CanonicalRecord | Rejected]]
        pending = collections.deque()
        with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            for number, record in enumerate(records):
                pending.append(threads.submit(self._canonical, record, number))
                if len(pending) > _AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def _canonical(self, record: object, number: int) -> CanonicalRecord | Rejected:
        position = sources_rows.position(number)
        outcome = sources_rows.read(record, position, self._labels)
        return outcome if isinstance(outcome, Rejected) else self._canonicalizer.canonical(outcome)

    def _outcomes(self, records: Sequence[CanonicalRecord | Rejected]) -> list[Outcome]:
        canonical = [record for record in records if isinstance(record, CanonicalRecord)]
        scored = iter(self._scorer.score(canonical))
        return [record if isinstance(record, Rejected) else next(scored) for record in records]


def load_model(
    folder: str | os.PathLike[str],
    verify_key: str | None = None,
    media_roots: Sequence[str | os.PathLike[str]] = (),
    explain: bool = False,
) -> Model:
    """Loads a model into this process, after checking that its files are those of the export.

    The digest of each file is checked, and a SavedModel that could do more than compute is
    refused. Loading takes seconds and needs a few hundred MB; the same model is loaded only once.

    Args:
        folder: Model folder that `triad train` wrote, local or `gs://`, or a folder whose
            `CURRENT` names one; see `triad release`.
        verify_key: PEM file of the public key that the model must be signed with.
        media_roots: Folders in which, and below which, media that records name by path are
            searched. Without one, each such medium is an issue `forbidden`, so that a sender of
            records cannot read files of this machine.
        explain: True if classifications and regressions have the share of each modality, its
            Shapley value.

    Raises:
        OptionsError: There is no complete model, the key cannot be used, or the model cannot
            explain.
        GateError: A file is not the one that was exported or signed, or the model could do more
            than compute.
        StorageError: A bucket cannot be read.

    Examples:
        >>> import triad_ml
        >>> model = triad_ml.load_model("model", media_roots=["records"])
        >>> sorted(model.classes)
        ['category']
    """
    resolved = model_store.resolved(os.fspath(folder))
    opened = model_store.load(resolved, verify_key)
    scorer = load_scorer(str(opened.folder), opened.model_digest, explain)
    return Model(opened, scorer, tuple(os.fspath(root) for root in media_roots))
