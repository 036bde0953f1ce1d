"""Comparison of a model's tasks with their linear models, before the model is released."""

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from triad_ml.model.evaluation import document as evaluation_document
from triad_ml.model.linear.fit import SOLVERS
from triad_ml.model.serving import bundle
from triad_ml.transforms.errors import GateError

_MISSING = f"there is no {bundle.EVALUATION} with linear models to compare; copy the whole folder"
_log = logging.getLogger(__name__)


def check(model: bundle.Artefact, limit: float | None) -> None:
    """Compares each task of a model with its best linear model, by the model's own evaluation.

    Args:
        model: The model.
        limit: Largest share by which a task's first figure may be worse than that of the linear
            model; None logs a warning for each task that is worse, or was not compared.

    Raises:
        GateError: With a limit, if a task is worse than it permits, or was not compared.
    """
    known = (model.folder / bundle.EVALUATION).is_file()  # scoring does without it
    found = problems(json.loads(model.read(bundle.EVALUATION)), limit) if known else [_MISSING]
    for problem in found:
        if limit is not None:
            raise GateError(f"{model.folder}: {problem}, or release it without --floor-limit")
        _log.warning("%s: %s", model.folder, problem)


def problems(document: Mapping[str, Any], limit: float | None) -> Iterator[str]:
    """Lists the tasks that are worse than their best linear model, or were not compared.

    Tasks of kinds that have no linear models are left out.

    Args:
        document: Evaluation of the model; see `triad_ml.model.evaluation.document`.
        limit: See `check`; None is 0.

    Returns:
        For each such task its name, the reason and a remedy.
    """
    measured = document["splits"]
    split = next((name for name in ("test", "eval") if name in measured), None)
    if split is None:
        yield "no record compares it with linear models; preprocess with a test split and train it"
        return
    for name, task in measured[split]["tasks"].items():
        solver = SOLVERS.get(task["kind"])
        if solver is None:
            continue
        floor = evaluation_document.floor(task)
        if not task.get("linear"):
            yield (
                f"task {name} has no linear models to compare with, as if an earlier version had "
                "prepared its data or trained it; preprocess and train it again"
            )
        elif floor is None:
            yield (
                f"task {name} is not compared with linear models, because no record of the {split} "
                "split has its label; preprocess with labelled records and train it again"
            )
        elif floor.shortfall > (limit or 0.0):
            linear = f"a linear model of {floor.modalities.replace('+', ' + ')}"
            yield (
                f"task {name} has {floor.figure} {floor.network:.3f} on the {split} split, and "
                f"{linear} has {floor.value:.3f}; train it with other settings or more records"
            )
