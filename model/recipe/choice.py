"""Choice of a recipe: network, linear models, or the weighted mean of both."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from triad_ml.model.linear.fit import Solver
from triad_ml.model.tasks.metrics import METRICS
from triad_ml.transforms.spec.model import AUTO
from triad_ml.transforms.spec.tasks import Task

Said: TypeAlias = npt.NDArray[np.float32]
Name: TypeAlias = Literal["network", "linear", "blend"]

NETWORK: Name = "network"
LINEAR: Name = "linear"
BLEND: Name = "blend"

EQUAL = 0.5
"""Share of the linear models in a blend where no record measures it."""

SHARES = (0.25, EQUAL, 0.75)
"""Shares among which a choice is made."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Models that predict a task.

    Attributes:
        name: `network`, `linear` or `blend`.
        share: Weight of the linear models in the mean: 0, 1, or between.
        measured: Records by which it was chosen, such as `2 folds of the training split`; None if
            the spec names the recipe.
        records: Their number.
        losses: By recipe, the mean loss on them; for `blend` that of the best share.
        figures: By recipe, the task's first figure on them.
        figure: Name of this figure.
    """

    name: Name
    share: float
    measured: str | None = None
    records: int = 0
    losses: Mapping[str, float] = dataclasses.field(default_factory=dict)
    figures: Mapping[str, float] = dataclasses.field(default_factory=dict)
    figure: str = ""


ALONE: Mapping[str, Recipe] = {
    NETWORK: Recipe(NETWORK, 0.0),
    LINEAR: Recipe(LINEAR, 1.0),
    BLEND: Recipe(BLEND, EQUAL),
}
"""Recipes that no record measured."""

CANDIDATES: Mapping[str, tuple[Name, ...]] = {
    AUTO: (NETWORK, LINEAR, BLEND),
    NETWORK: (NETWORK,),
    LINEAR: (LINEAR,),
    BLEND: (BLEND,),
}
"""By `model.recipe` of a spec, the recipes to choose among."""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Predictions of records that neither model has learned from.

    Attributes:
        measured: See `Recipe`.
        labels: Labels of the records, in the form that the task's metrics take.
        counted: True for the labels that the models could have learned, bool `[records]`.
        network: Predictions of the network.
        linear: Predictions of the linear models.
    """

    measured: str
    labels: npt.NDArray[Any]
    counted: npt.NDArray[np.bool_]
    network: Said
    linear: Said


def chosen(
    task: Task,
    classes: Sequence[str],
    solver: Solver,
    evidence: Evidence,
    names: Sequence[Name] = (NETWORK, LINEAR, BLEND),
) -> Recipe:
    """Chooses the recipe with the lowest loss.

    Args:
        task: Section of the spec for the task.
        classes: Names of its classes.
        solver: Solver of its linear models.
        evidence: Predictions to compare.
        names: Recipes to choose among.
    """
    known = evidence.counted
    labels = evidence.labels[known]
    if not len(labels):
        return ALONE[BLEND]
    network, linear = evidence.network[known], evidence.linear[known]
    said = {share: (1 - share) * network + share * linear for share in (0.0, *SHARES, 1.0)}
    lost = {share: float(solver.losses(one, labels).mean()) for share, one in said.items()}
    best = {NETWORK: 0.0, LINEAR: 1.0, BLEND: min(SHARES, key=lost.__getitem__)}
    name = min(names, key=lambda one: lost[best[one]])
    metrics = METRICS[task.kind]
    key, figure = next(iter(metrics.figures.items()))
    figures: dict[str, float] = {
        one: metrics.measure(task, labels, said[share], classes, seed=0, resamples=1)[key]["value"]
        for one, share in best.items()
    }
    return Recipe(
        name,
        best[name],
        evidence.measured,
        len(labels),
        {one: lost[share] for one, share in best.items()},
        figures,
        figure,
    )
