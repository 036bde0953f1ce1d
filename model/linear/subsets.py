"""One linear model of a task for each set of modalities that a record may have."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from triad_ml.model.linear import fit
from triad_ml.model.linear.blocks import Blocks
from triad_ml.model.linear.fit import Floats, Linear, Scaling, Solver

Subset: TypeAlias = tuple[str, ...]
"""Names of modalities, in the order of the spec."""


@dataclasses.dataclass(frozen=True)
class Subsets:
    """Linear models of a task, of which the one of exactly a record's modalities predicts it.

    So a record that lacks a modality is predicted as well as by a model that never saw it.

    Attributes:
        names: Modalities of the spec.
        models: By modalities, a model of them. A modality that no labelled record has is in none.
        prior: Outputs for a record that has none of these modalities, float64 `[outputs]`.
        solver: The task's solver.
    """

    names: Subset
    models: Mapping[Subset, Linear]
    prior: Floats
    solver: Solver

    @property
    def alone(self) -> Subset:
        """Modalities that some labelled record has."""
        return tuple(name for name in self.names if (name,) in self.models)

    @property
    def scalings(self) -> dict[str, Scaling]:
        """Scaling of each of these modalities."""
        return {name: self.models[name,].scalings[name] for name in self.alone}

    def predict(self, blocks: Blocks) -> npt.NDArray[np.float32]:
        """Predicts what the task's metrics read, of each record with the modalities it has."""
        present = np.stack([blocks.present[name] for name in self.names], axis=1)
        outputs = np.tile(self.prior, (len(present), 1))
        for mask in np.unique(present, axis=0):
            has = dict(zip(self.names, mask, strict=True))
            model = self.models.get(tuple(name for name in self.alone if has[name]))
            rows = (present == mask).all(axis=1)
            if model is not None:
                design = fit.design(blocks.rows(rows), model.scalings, model.strengths)
                outputs[rows] = model.weights.of(design)
        return self.solver.predicted(outputs)


def subsets_of(names: Sequence[str]) -> tuple[Subset, ...]:
    """Lists all sets of modalities but the empty one, small ones first."""
    sizes = range(1, len(names) + 1)
    return tuple(one for size in sizes for one in itertools.combinations(names, size))


def fitted(blocks: Blocks, task: str, solver: Solver, known: Mapping[str, Linear]) -> Subsets:
    """Completes the models of a task by those of the other sets of modalities.

    Their strengths are those of the model of all modalities.

    Args:
        blocks: Training records.
        task: Name of the task.
        solver: The task's solver.
        known: Result of `fit.fit` on these records.
    """
    alone = tuple(name for name in blocks.views if name in known)
    whole, first = known["+".join(alone)], alone[0]
    share = whole.strengths[first] / known[first].strengths[first]
    models: dict[Subset, Linear] = {}
    for subset in subsets_of(alone):
        found = known.get("+".join(subset))
        models[subset] = found or fit.joint(blocks, task, solver, known, subset, [share])
    labels = blocks.labels[task][solver.labelled(blocks.labels[task])]
    prior = solver.fit(np.zeros((len(labels), 1)), labels, 1.0).bias
    return Subsets(tuple(blocks.views), models, prior, solver)


def terms(linear: Linear) -> tuple[dict[str, Floats], Floats]:
    """Splits a linear function into one for each modality's scaled view.

    Returns:
        By modality the weights of its scaled view, float64 `[width, outputs]`, and the bias for
        records that have all modalities of the model.
    """
    begin, weights = 0, {}
    for name, scaling in linear.scalings.items():
        own = linear.weights.matrix[begin : begin + len(scaling.mean)]
        weights[name] = own * linear.strengths[name] ** 0.5
        begin += len(scaling.mean)
    flags = linear.weights.matrix[begin:]  # none of a single modality
    constant = flags.sum(axis=0) * max(linear.strengths.values()) ** 0.5
    return weights, linear.weights.bias + constant
