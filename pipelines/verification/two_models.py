"""Predictions of two models, the released one and a candidate, for the same records."""

import collections
import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from triad_ml.model.serving.bundle import Artefact
from triad_ml.model.serving.scorer import Scorer, load_scorer
from triad_ml.pipelines.runtime.summary import many
from triad_ml.transforms.errors import GateError
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import CanonicalRecord, RawRecord, Rejected, Scored
from triad_ml.transforms.spec.tasks import Task

SHOWN = 3
"""Largest number of findings that a refusal names; the others are counted."""

_AT_ONCE = 96
_Found = TypeVar("_Found")


@dataclasses.dataclass(frozen=True)
class Side:
    """One of the two models, loaded.

    Attributes:
        name: Name of its folder.
        model: Model bundle.
        scorer: The same model, loaded.
    """

    name: str
    model: Artefact
    scorer: Scorer

    @classmethod
    def of(cls, name: str, model: Artefact) -> "Side":
        """Loads a model, or takes it from this process if it is loaded already.

        Raises:
            GateError: The model is not the one that was opened, or could do more than compute.
        """
        return cls(name, model, load_scorer(str(model.folder), model.model_digest, False))


class Both(NamedTuple):
    """A record that both models scored.

    Attributes:
        labels: Labels as the record has them.
        before: Outcome of the released model.
        after: Outcome of the candidate.
    """

    labels: Mapping[str, Any]
    before: Scored
    after: Scored


def label_keys(before: Side, after: Side) -> tuple[str, ...]:
    """Returns the keys of labels that any of the two models reads."""
    return tuple(sorted({*before.model.spec.label_names, *after.model.spec.label_names}))


def common_tasks(before: Side, after: Side) -> dict[str, Task]:
    """Returns the tasks of the candidate that the released model has too, of the same kind."""
    known = before.model.spec.tasks
    return {
        name: task
        for name, task in after.model.spec.tasks.items()
        if name in known
        and (type(task), task.multi_label) == (type(known[name]), known[name].multi_label)
    }


def score(
    records: Iterable[RawRecord],
    before: Side,
    after: Side,
    media_roots: Sequence[str],
    left_out: collections.Counter[str],
    lost: collections.Counter[str],
) -> Iterator[Both]:
    """Scores each record with both models, a few records at a time.

    Each model gets the record in its own canonical form.

    Args:
        records: Records.
        before: Released model.
        after: Candidate.
        media_roots: Folders in which media are searched for after that of the records file.
        left_out: Counter by reason, to which records are added that the released model rejects.
        lost: Counter by reason, to which records are added that the candidate alone rejects.
    """
    sides = (before, after)
    makers = [Canonicalizer(side.model.spec, tuple(media_roots)) for side in sides]
    same = _canonical_form(before) == _canonical_form(after)
    iterator = iter(records)
    while batch := list(itertools.islice(iterator, _AT_ONCE)):
        first = [makers[0].canonical(raw) for raw in batch]
        second = first if same else [makers[1].canonical(raw) for raw in batch]
        outcomes = [_scored(side, own) for side, own in zip(sides, (first, second), strict=True)]
        for raw, one, other in zip(batch, *outcomes, strict=True):
            if isinstance(one, Rejected):
                left_out[f"rejected by {before.name} as {one.reason}"] += 1
            elif isinstance(other, Rejected):
                lost[str(other.reason)] += 1
            else:
                yield Both(raw.labels, one, other)


def refuse_lost(before: Side, after: Side, lost: collections.Counter[str], flag: str) -> None:
    """Refuses a candidate that rejects records which the released model scores.

    Args:
        before: Released model.
        after: Candidate.
        lost: Numbers of these records by reason.
        flag: Option that named the records.

    Raises:
        GateError: There are such records.
    """
    if lost:
        ((reason, count),) = lost.most_common(1)
        raise GateError(
            f"{after.model.folder}: rejects {many(lost.total(), 'record')} of {flag} that "
            f"{before.name} scores (most often: {reason}, {count}); keep the model before, or "
            "leave these records out"
        )


def tell(log: logging.Logger, left_out: Mapping[str, int]) -> None:
    """Logs the numbers of records that are not compared, by reason."""
    for reason, count in left_out.items():
        log.warning("%s left out: %s", many(count, "record"), reason)


def named(found: Sequence[_Found], text: Callable[[_Found], str]) -> str:
    """Returns the texts of the first findings, and the number of the others."""
    texts = "; ".join(map(text, found[:SHOWN]))
    return texts + (f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else "")


def _canonical_form(side: Side) -> tuple[Any, ...]:
    """Returns the sections of a spec that decide the canonical form of a record."""
    spec = side.model.spec
    return spec.modalities, spec.limits, spec.tasks


def _scored(side: Side, records: Sequence[CanonicalRecord | Rejected]) -> list[Scored | Rejected]:
    """Scores the canonical records among several; the others stay as they are."""
    canonical = [one for one in records if isinstance(one, CanonicalRecord)]
    scored = iter(side.scorer.score(canonical))
    return [one if isinstance(one, Rejected) else next(scored) for one in records]
