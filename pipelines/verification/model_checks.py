"""Checks of a model before it may score: files, signature, parity, labels of golden records."""

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
        folder: Folder of the model, local or in a bucket.
        golden: Pattern of records files. Preprocessing and the model must agree on their records.
            The model must score each record, and predict its label if it has that of a
            classification task.
        verify_key: PEM file of the public key that the model must be signed with.
        media_roots: Folders in which the golden records' media are searched for, after that of the
            records file.

    Raises:
        OptionsError: There is no model or golden record, or the key cannot be used.
        GateError: The model is refused; the error has the reason.
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
    for differences in parity.differences(compared, model):
        for each in differences:
            if not each.passes:
                raise GateError(
                    f"{folder}: {each.name} of record {each.record} is not what preprocessing gives"
                    f" (apart by {each.largest:.3g}); see `triad parity`, and keep the model before"
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
    predicted = prediction.label
    names = tuple(sorted(predicted)) if isinstance(predicted, tuple) else (predicted,)
    return names, class_names(label, task)


_ANSWERS: Mapping[str, Callable[[Any, object, Task], tuple[_Names, _Names | None]]] = {
    "classification": _classes
}
"""Functions by kind of task that return the predicted names and those of the label.

The predictions of other kinds of tasks are not compared with labels.
"""


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
        predicted, expected = compare(prediction, labels.get(task.label), task)
        if expected is not None and predicted != expected:
            got, wanted = ", ".join(predicted) or "none", ", ".join(expected) or "none"
            raise GateError(
                f"{pattern}: golden record {outcome.id} gets {name} {got}, not {wanted}; "
                "keep the model before, or mend the record"
            )


def _refused(pattern: str, record: Rejected) -> GateError:
    return GateError(
        f"{pattern}: golden record {record.id} is rejected ({record.reason}: {record.detail}); "
        "keep the model before, or mend the record"
    )
