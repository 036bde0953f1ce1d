"""What a model must pass before it may score: whole, signed, in parity, right on golden records."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from triad_ml.model.serving import bundle, safety
from triad_ml.model.serving.scorer import load_scorer
from triad_ml.pipelines.sources import read, units
from triad_ml.pipelines.storage import model_store
from triad_ml.pipelines.verification import parity
from triad_ml.pipelines.verification.config import ParityConfig
from triad_ml.transforms.errors import GateError
from triad_ml.transforms.labels.classes import class_names
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import (
    CanonicalRecord,
    Prediction,
    RawRecord,
    Rejected,
    Scored,
)
from triad_ml.transforms.spec.spec import Spec, Task


def check(
    folder: str,
    golden: str | None = None,
    verify_key: str | None = None,
    media_roots: Sequence[str] = (),
) -> bundle.Artefact:
    """Checks a model, and leaves it loaded in this process.

    Args:
        folder: Of the model; it may lie in a bucket.
        golden: Pattern of records files. Preprocessing and the model must agree on their records;
            each must be scored, and where it has the label of a classification task, get it.
        verify_key: PEM file of the public key that the model must be signed with.
        media_roots: Where the golden records' media may lie, too.

    Raises:
        OptionsError: No model, no golden record, or a key that cannot be used.
        GateError: The model is refused, and why.
    """
    local = model_store.local(folder)
    model = model_store.load(folder, verify_key)
    safety.check_folder(model.saved_model)
    scorer = load_scorer(local, model.model_digest, False)
    if golden is None:
        return model
    records = list(_golden(golden, Canonicalizer(model.spec, tuple(media_roots)), model.spec))
    outcomes = scorer.score([canonical for canonical, _ in records])
    for (_, labels), outcome in zip(records, outcomes, strict=True):
        _check_outcome(golden, outcome, labels, model.spec)
    roots = tuple(media_roots)
    compared = ParityConfig(local, (golden,), media_roots=roots, verify_key=verify_key)
    for part in parity.differences(compared, model):
        for one in part:
            if not one.passes:
                raise GateError(
                    f"{folder}: {one.name} of record {one.record} is not what preprocessing gives "
                    f"(apart by {one.largest:.3g}); see `triad parity`, and keep the model before"
                )
    return model


def _golden(
    pattern: str, canonicalizer: Canonicalizer, spec: Spec
) -> Iterator[tuple[CanonicalRecord, Mapping[str, object]]]:
    for unit in units.plan(units.list_inputs((pattern,))):
        for record in read.read(unit, spec.label_names):
            if isinstance(record, RawRecord):
                canonical = canonicalizer.canonical(record)
                if isinstance(canonical, CanonicalRecord):
                    yield canonical, record.labels
                    continue
                record = canonical
            raise _refused(pattern, record)


_Names = tuple[str, ...]


def _classes(prediction: Prediction, label: object, task: Task) -> tuple[_Names, _Names | None]:
    said = prediction.label
    found = tuple(sorted(said)) if isinstance(said, tuple) else (said,)
    return found, class_names(label, task)


_ANSWERS: Mapping[str, Callable[[Any, object, Task], tuple[_Names, _Names | None]]] = {
    "classification": _classes
}
"""By kind of task, names that a prediction has and those of the label; other kinds may differ."""


def _check_outcome(
    pattern: str, outcome: Scored | Rejected, labels: Mapping[str, object], spec: Spec
) -> None:
    if isinstance(outcome, Rejected):
        raise _refused(pattern, outcome)
    for name, prediction in outcome.predictions.items():
        task = spec.tasks[name]
        compare = _ANSWERS.get(task.kind)
        if compare is None:
            continue
        found, wanted = compare(prediction, labels.get(task.label), task)
        if wanted is not None and found != wanted:
            raise GateError(
                f"{pattern}: golden record {outcome.id} gets {name} {', '.join(found) or 'none'}, "
                f"not {', '.join(wanted) or 'none'}; keep the model before, or mend the record"
            )


def _refused(pattern: str, record: Rejected) -> GateError:
    return GateError(
        f"{pattern}: golden record {record.id} is rejected ({record.reason}: {record.detail}); "
        "keep the model before, or mend the record"
    )
