"""Comparison of a model's tasks with simpler predictors, before the model is released."""

import json
import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from triad_ml.model.evaluation import document as evaluation_document
from triad_ml.model.evaluation.document import Floor
from triad_ml.model.linear.fit import SOLVERS
from triad_ml.model.serving import bundle
from triad_ml.transforms.errors import GateError

_log = logging.getLogger(__name__)


class Problem(NamedTuple):
    """A task that is worse than a simpler predictor, or was not compared.

    Attributes:
        text: Name of the task, the reason and a remedy.
        found: The predictor; None if the task was not compared.
    """

    text: str
    found: Floor | None = None

    @property
    def clear(self) -> bool:
        """True if the task is worse beyond its interval."""
        return self.found is not None and self.found.beyond


_MISSING = Problem(
    f"there is no {bundle.EVALUATION} with linear models to compare; copy the whole folder"
)


def check(model: bundle.Artefact, limit: float | None) -> None:
    """Compares each task of a model with its best linear model and its best single modality.

    The figures are those of the model's own evaluation.

    Args:
        model: The model.
        limit: Largest share by which a task's first figure may be worse. None: a task that is worse
            beyond its interval is refused, and a warning is logged for one that is worse at all, or
            was not compared.

    Raises:
        GateError: A task is worse than permitted; with a limit also if it was not compared with
            linear models.
    """
    known = (model.folder / bundle.EVALUATION).is_file()  # scoring does without it
    found = problems(json.loads(model.read(bundle.EVALUATION)), limit) if known else [_MISSING]
    for problem in found:
        if limit is not None or problem.clear:
            raise GateError(f"{model.folder}: {problem.text}{_alternative(problem, limit)}")
        _log.warning("%s: %s", model.folder, problem.text)


def _alternative(problem: Problem, limit: float | None) -> str:
    """Returns the flag that would release the model all the same; "" if there is none."""
    if not problem.clear or problem.found is None:
        return ", or release it without --floor-limit"
    enough = math.ceil(problem.found.shortfall * 100) / 100 if problem.found.value else math.inf
    if enough > 1:
        return ""
    return f", or release it with {'a larger ' if limit is not None else ''}--floor-limit {enough}"


def problems(document: Mapping[str, Any], limit: float | None) -> Iterator[Problem]:
    """Lists the tasks that are worse than simpler predictors, or have no linear models.

    Tasks of kinds that have no linear models are compared with single modalities alone. Where no
    complete record has a label, a task is not compared with single modalities.

    Args:
        document: Evaluation of the model; see `triad_ml.model.evaluation.document`.
        limit: See `check`; None is 0.
    """
    measured = document["splits"]
    split = next((name for name in ("test", "eval") if name in measured), None)
    if split is None:
        yield Problem(
            "no record compares it with linear models; preprocess with a test split and train it"
        )
        return
    for name, task in measured[split]["tasks"].items():
        if SOLVERS.get(task["kind"]) is not None:
            yield from _linear(name, task, split, limit or 0.0)
        alone = evaluation_document.single(task)
        if alone is None or (limit is not None and alone.records < evaluation_document.FEW):
            continue
        if alone.shortfall > (limit or 0.0):
            yield Problem(
                f"task {name} has {alone.figure} {alone.network:.3f} with all modalities of "
                f"{alone.records} complete records of the {split} split, and {alone.value:.3f} "
                f"with {alone.modalities} alone; check that the other media belong to their "
                "records, or train it with other settings",
                alone,
            )


def _linear(name: str, task: Mapping[str, Any], split: str, limit: float) -> Iterator[Problem]:
    """Compares a task with its best linear model."""
    floor = evaluation_document.floor(task)
    if not task.get("linear"):
        yield Problem(
            f"task {name} has no linear models to compare with, as if an earlier version had "
            "prepared its data or trained it; preprocess and train it again"
        )
    elif floor is None:
        yield Problem(
            f"task {name} is not compared with linear models, because no record of the {split} "
            "split has its label; preprocess with labelled records and train it again"
        )
    elif floor.shortfall > limit:
        linear = f"a linear model of {floor.modalities.replace('+', ' + ')}"
        yield Problem(
            f"task {name} has {floor.figure} {floor.network:.3f} on the {split} split, and "
            f"{linear} has {floor.value:.3f}; train it with other settings or more records",
            floor,
        )
