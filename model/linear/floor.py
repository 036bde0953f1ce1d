"""The floor: linear models of each modality and of all of them, fitted to the training records."""

import logging
import math
from typing import Any, TypeAlias

import numpy.typing as npt
from threadpoolctl import threadpool_limits

from triad_ml.model.data.scan import Survey
from triad_ml.model.layout import Layout
from triad_ml.model.linear import blocks as linear_blocks
from triad_ml.model.linear import fit, subsets
from triad_ml.model.linear.blocks import NO_GROUP, Blocks
from triad_ml.model.linear.fit import Linear, Solver
from triad_ml.model.linear.subsets import Subsets

MOST_RECORDS = 20_000
"""Training records that linear models are fitted to, at most: a sample with a fixed stride."""

Floor: TypeAlias = dict[str, dict[str, Linear]]
"""By task and subset of modalities, such as `image` or `image+audio+text`, a linear model."""

_log = logging.getLogger(__name__)


def fitted(train: Survey, layout: Layout) -> Floor:
    """Fits the linear models of all tasks that have some; see `of_blocks`.

    Args:
        train: The training split.
        layout: Names and sizes.
    """
    blocks = read(train, layout)
    return {} if blocks is None else of_blocks(blocks, layout)


def solvers_of(layout: Layout) -> dict[str, Solver]:
    """Makes the solvers of all tasks that have linear models, by task."""
    return {
        name: solver
        for name, task in layout.spec.tasks.items()
        if (solver := fit.solver_of(task, len(layout.classes[name]))) is not None
    }


def read(train: Survey, layout: Layout) -> Blocks | None:
    """Reads the records that linear models are fitted to.

    Returns:
        The records; None if no task has linear models, or the files are of an earlier version.
    """
    solvers = solvers_of(layout)
    if not solvers:
        return None
    every = max(1, math.ceil(train.num_records / MOST_RECORDS))
    if every > 1:
        _log.info("linear models: fitted to one of %d records of the training split", every)
    files = train.unchanged_files()
    blocks = linear_blocks.read(files, layout, list(solvers), train.records, every)
    if (blocks.groups == NO_GROUP).any():
        _log.warning(
            "no linear models to compare with: an earlier version wrote these features; run triad "
            "preprocess with a new --output"
        )
        return None
    return blocks


def of_blocks(blocks: Blocks, layout: Layout) -> Floor:
    """Fits the linear models of all tasks that have some.

    Returns:
        By task and subset of modalities, such as `image` or `image+audio+text`: each modality
        alone, and all of them. A modality that no labelled record has is left out.
    """
    solvers = solvers_of(layout)
    scalings = {
        name: fit.scaling(view, blocks.present[name]) for name, view in blocks.views.items()
    }
    with threadpool_limits(1):  # more threads wait for each other longer than such products take
        return {task: fit.fit(blocks, task, one, scalings) for task, one in solvers.items()}


def completed(blocks: Blocks, models: Floor, layout: Layout) -> dict[str, Subsets]:
    """Adds to the models of each task those of the other sets of modalities.

    Returns:
        By task; one without any model is left out.
    """
    solvers = solvers_of(layout)
    with threadpool_limits(1):
        return {
            task: subsets.fitted(blocks, task, solvers[task], own)
            for task, own in models.items()
            if own
        }


def predicted(
    models: Floor, survey: Survey, layout: Layout
) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """Predicts the records of a split, in the order of `datasets.eval_dataset`.

    Returns:
        By task and subset of modalities, what the task's metrics read of each record.
    """
    if not models:
        return {}
    blocks = linear_blocks.read(survey.unchanged_files(), layout, list(models), survey.records)
    return {
        task: {subset: linear.predict(blocks) for subset, linear in own.items()}
        for task, own in models.items()
    }
