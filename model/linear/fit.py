"""Linear models of one task: regularized regressions on the views of some modalities."""

import abc
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold

from triad_ml.model.linear.blocks import Block, Blocks
from triad_ml.transforms.spec.tasks import Task

Floats: TypeAlias = npt.NDArray[np.float64]
Labels: TypeAlias = npt.NDArray[Any]
Rows: TypeAlias = npt.NDArray[np.int64]
Matrix: TypeAlias = Floats | sparse.csr_matrix

STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""Inverses of the strength of regularization among which cross-validation chooses, for a modality.
"""

FOLDS = 3
FEW = 2000
"""Training records up to which fits are computed in the space that the records span."""

_JOINT = (0.1, 0.3, 1.0)
_ITERATIONS, _TOLERANCE = 300, 1e-4
_NEVER = -30.0


@dataclasses.dataclass(frozen=True)
class Scaling:
    """The scaling of the view of one modality, measured on training records that have it.

    Columns of a dense view are z-scored and divided by the root of their number, so that rows have
    about unit length. Counts of n-grams become tf-idf at unit length, with 1 + log of the count, as
    `TfidfTransformer(sublinear_tf=True)` of scikit-learn has it.

    Attributes:
        mean: float64 `[width]`; zeros of n-grams.
        factor: float64 `[width]`.
    """

    mean: Floats
    factor: Floats

    def scaled(self, view: Block, present: npt.NDArray[np.bool_]) -> Matrix:
        """Scales a view; rows without the modality become zeros."""
        if isinstance(view, np.ndarray):
            return np.where(present[:, np.newaxis], (view - self.mean) * self.factor, 0.0)
        weighted = view.astype(np.float64)
        weighted.data = 1.0 + np.log(weighted.data)
        weighted = weighted.multiply(self.factor).tocsr()
        length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
        return sparse.csr_matrix(sparse.diags(1.0 / np.maximum(length, 1e-12)) @ weighted)


def scaling(view: Block, present: npt.NDArray[np.bool_]) -> Scaling:
    """Measures the scaling of a view."""
    rows = view[present]
    if isinstance(rows, np.ndarray):
        width = rows.shape[1]
        if not len(rows):
            return Scaling(np.zeros(width), np.zeros(width))
        deviation = rows.std(axis=0, dtype=np.float64)
        known = deviation > 1e-6
        factor = np.where(known, 1.0 / np.where(known, deviation, 1.0), 0.0) / np.sqrt(width)
        return Scaling(rows.mean(axis=0, dtype=np.float64), factor)
    frequency = np.asarray((rows > 0).sum(axis=0)).ravel()
    inverse = np.log((1 + rows.shape[0]) / (1 + frequency)) + 1
    return Scaling(np.zeros(len(inverse)), np.where(frequency > 0, inverse, 0.0))


@dataclasses.dataclass(frozen=True)
class Weights:
    """A fitted linear function.

    Attributes:
        matrix: float64 `[width, outputs]`.
        bias: float64 `[outputs]`.
    """

    matrix: Floats
    bias: Floats

    def of(self, rows: Matrix) -> Floats:
        """Computes outputs, `[rows, outputs]`."""
        return np.asarray(rows @ self.matrix) + self.bias


class Solver(abc.ABC):
    """The linear models of a task.

    Args:
        classes: Number of classes of the task.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes

    @abc.abstractmethod
    def labelled(self, labels: Labels) -> npt.NDArray[np.bool_]:
        """Finds the records whose label can be learned, bool `[records]`."""

    def learned(self, labels: Labels, known: Labels) -> npt.NDArray[np.bool_]:
        """Finds the labels that a model can say that learned from `known`, bool `[records]`."""
        return self.labelled(labels)

    @abc.abstractmethod
    def fit(self, rows: Matrix, labels: Labels, strength: float) -> Weights:
        """Fits a linear function to records with labels."""

    @abc.abstractmethod
    def predicted(self, outputs: Floats) -> npt.NDArray[np.float32]:
        """Makes what the task's metrics read of the outputs of the linear function."""

    @abc.abstractmethod
    def losses(self, predicted: npt.NDArray[np.float32], labels: Labels) -> Floats:
        """Computes the loss of each record, `[records]`."""


class Classes(Solver):
    """Multinomial logistic regressions, in which all classes weigh the same."""

    def labelled(self, labels: Labels) -> npt.NDArray[np.bool_]:
        return (labels >= 0) & (labels < self.classes)

    def learned(self, labels: Labels, known: Labels) -> npt.NDArray[np.bool_]:
        return self.labelled(labels) & np.isin(labels, known)

    def fit(self, rows: Matrix, labels: Labels, strength: float) -> Weights:
        matrix, bias = np.zeros((rows.shape[1], self.classes)), np.full(self.classes, _NEVER)
        known = np.unique(labels)
        if len(known) == 1:
            bias[known] = 0.0
            return Weights(matrix, bias)
        model = _logistic(strength).fit(rows, labels)
        if len(known) == 2:  # scikit-learn keeps the second class's function alone
            matrix[:, known[1]] = model.coef_[0]
            bias[known] = 0.0, model.intercept_[0]
        else:
            matrix[:, known], bias[known] = model.coef_.T, model.intercept_
        return Weights(matrix, bias)

    def predicted(self, outputs: Floats) -> npt.NDArray[np.float32]:
        powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)

    def losses(self, predicted: npt.NDArray[np.float32], labels: Labels) -> Floats:
        chosen = predicted[np.arange(len(labels)), labels].astype(np.float64)
        return np.asarray(-np.log(np.maximum(chosen, 1e-6)))


class Sets(Solver):
    """One binary logistic regression for each class."""

    def labelled(self, labels: Labels) -> npt.NDArray[np.bool_]:
        return np.asarray(labels[:, 0] >= 0)

    def fit(self, rows: Matrix, labels: Labels, strength: float) -> Weights:
        matrix, bias = np.zeros((rows.shape[1], self.classes)), np.zeros(self.classes)
        for number, column in enumerate(labels[:, : self.classes].T > 0):
            if column.all() or not column.any():
                bias[number] = -_NEVER if column.any() else _NEVER
            else:
                model = _logistic(strength).fit(rows, column)
                matrix[:, number], bias[number] = model.coef_[0], model.intercept_[0]
        return Weights(matrix, bias)

    def predicted(self, outputs: Floats) -> npt.NDArray[np.float32]:
        return (1.0 / (1.0 + np.exp(-outputs))).astype(np.float32)

    def losses(self, predicted: npt.NDArray[np.float32], labels: Labels) -> Floats:
        right = np.where(labels[:, : self.classes] > 0, predicted, 1.0 - predicted)
        return np.asarray(-np.log(np.maximum(right.astype(np.float64), 1e-6)).mean(axis=1))


class Numbers(Solver):
    """Ridge regressions."""

    def labelled(self, labels: Labels) -> npt.NDArray[np.bool_]:
        return np.asarray(labels[:, 0] >= 0)

    def fit(self, rows: Matrix, labels: Labels, strength: float) -> Weights:
        model = Ridge(alpha=1.0 / strength).fit(rows, labels[:, 1].astype(np.float64))
        return Weights(np.asarray(model.coef_)[:, np.newaxis], np.asarray([model.intercept_]))

    def predicted(self, outputs: Floats) -> npt.NDArray[np.float32]:
        return np.asarray(outputs[:, 0], np.float32)

    def losses(self, predicted: npt.NDArray[np.float32], labels: Labels) -> Floats:
        return np.asarray((predicted.astype(np.float64) - labels[:, 1]) ** 2)


def _logistic(strength: float) -> LogisticRegression:
    return LogisticRegression(
        C=strength, class_weight="balanced", max_iter=_ITERATIONS, tol=_TOLERANCE
    )


def _classification(task: Task, classes: int) -> Solver:
    return Sets(classes) if task.multi_label else Classes(classes)


def _regression(task: Task, classes: int) -> Solver:
    return Numbers(classes)


SOLVERS: Mapping[str, Callable[[Task, int], Solver]] = {
    "classification": _classification,
    "regression": _regression,
}
"""By kind of task, the maker of its solver; the other kinds have no linear models."""


def solver_of(task: Task, classes: int) -> Solver | None:
    """Makes the solver of a task; None if tasks of its kind have no linear models.

    Args:
        task: Section of the spec for the task.
        classes: Number of classes of the task.
    """
    make = SOLVERS.get(task.kind)
    return None if make is None else make(task, classes)


@dataclasses.dataclass(frozen=True)
class Linear:
    """A linear model of one task on some modalities.

    Attributes:
        scalings: By modality that it reads.
        strengths: By modality, the inverse of the strength of its regularization.
        weights: The linear function of the scaled views side by side.
        solver: The task's solver.
        loss: Mean loss of the folds; NaN without folds.
    """

    scalings: Mapping[str, Scaling]
    strengths: Mapping[str, float]
    weights: Weights
    solver: Solver
    loss: float

    def predict(self, blocks: Blocks) -> npt.NDArray[np.float32]:
        """Predicts what the task's metrics read, of each record with the modalities it has."""
        rows = design(blocks, self.scalings, self.strengths)
        return self.solver.predicted(self.weights.of(rows))


def design(
    blocks: Blocks, scalings: Mapping[str, Scaling], strengths: Mapping[str, float]
) -> Matrix:
    """Puts scaled views side by side, each as strong as its regularization is weak.

    Several are followed by columns that say which of them a record has.
    """
    parts = [
        one.scaled(blocks.views[name], blocks.present[name]) * strengths[name] ** 0.5
        for name, one in scalings.items()
    ]
    if len(parts) > 1:
        flags = np.stack([blocks.present[name] for name in scalings], axis=1)
        parts.append(flags * max(strengths.values()) ** 0.5)
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.hstack(parts)
    return sparse.hstack([sparse.csr_matrix(part) for part in parts], format="csr")


def fit(
    blocks: Blocks, task: str, solver: Solver, scalings: Mapping[str, Scaling]
) -> dict[str, Linear]:
    """Fits the models of one task: one of each modality, and one of all.

    Folds of groups choose the strength of each modality's regularization, then that of all. A
    modality that no labelled record has is left out.

    Returns:
        By the names of its modalities, joined by `+`.
    """
    found: dict[str, Linear] = {}
    for name, one in scalings.items():
        choices = [{name: strength} for strength in STRENGTHS]
        model = _chosen(blocks, task, solver, {name: one}, choices)
        if model is not None:
            found[name] = model
    if len(found) > 1:
        found["+".join(found)] = joint(blocks, task, solver, found, tuple(found))
    return found


def joint(
    blocks: Blocks,
    task: str,
    solver: Solver,
    alone: Mapping[str, Linear],
    names: Sequence[str],
    shares: Sequence[float] = _JOINT,
) -> Linear:
    """Fits the model of several modalities.

    Args:
        blocks: Training records.
        task: Name of the task.
        solver: The task's solver.
        alone: By modality, a model of it alone.
        names: Modalities.
        shares: Factors of the strengths that they have alone; folds choose, unless it is one.
    """
    own = {name: alone[name].strengths[name] for name in names}
    choices = [{name: one * share for name, one in own.items()} for share in shares]
    scalings = {name: alone[name].scalings[name] for name in names}
    found = _chosen(blocks, task, solver, scalings, choices)
    assert found is not None  # each of the modalities has labelled records
    return found


def _chosen(
    blocks: Blocks,
    task: str,
    solver: Solver,
    scalings: Mapping[str, Scaling],
    choices: Sequence[Mapping[str, float]],
) -> Linear | None:
    """Fits the model with the choice of strengths whose loss over folds is lowest."""
    seen = np.any([blocks.present[name] for name in scalings], axis=0)
    chosen = np.flatnonzero(solver.labelled(blocks.labels[task]) & seen)
    if not len(chosen):
        return None
    labels = blocks.labels[task][chosen]
    folds = _folds(blocks.groups[chosen]) if len(choices) > 1 else []
    first = design(blocks, scalings, choices[0])[chosen]
    spanned, back = _spanned(first)
    losses = []
    for choice in choices:
        factor = choice_factor(choices[0], choice)
        rows = spanned * factor
        lost = [
            solver.losses(solver.predicted(weights.of(rows[test])), labels[test])
            for train, test in folds
            for weights in [solver.fit(rows[train], labels[train], 1.0)]
        ]
        losses.append(float(np.concatenate(lost).mean()) if lost else np.nan)
    best = int(np.nanargmin(losses)) if folds else len(choices) // 2
    factor = choice_factor(choices[0], choices[best])
    weights = solver.fit(spanned * factor, labels, 1.0)
    return Linear(
        scalings,
        choices[best],
        Weights(back(weights.matrix), weights.bias),
        solver,
        losses[best],
    )


def choice_factor(first: Mapping[str, float], choice: Mapping[str, float]) -> float:
    """Computes by how much a choice, a multiple of the first, scales all views."""
    name = next(iter(first))
    return float((choice[name] / first[name]) ** 0.5)


def _spanned(rows: Matrix) -> tuple[Matrix, Callable[[Floats], Floats]]:
    """Expresses few rows in an orthonormal basis of the space that they span.

    A regression with squared weights as its penalty has the same solution there.

    Returns:
        The coordinates, and the function that turns weights of coordinates into weights of columns.
    """
    if rows.shape[0] > FEW or rows.shape[1] <= rows.shape[0]:
        return rows, _unchanged
    products = rows @ rows.T
    products = products if isinstance(products, np.ndarray) else products.toarray()
    squares, vectors = np.linalg.eigh(products)
    kept = squares > 1e-10 * max(squares[-1], 1e-10)
    roots, vectors = np.sqrt(squares[kept]), vectors[:, kept]
    return vectors * roots, functools.partial(_to_columns, rows, vectors / roots)


def _unchanged(weights: Floats) -> Floats:
    return weights


def _to_columns(rows: Matrix, inverse: Floats, weights: Floats) -> Floats:
    return np.asarray(rows.T @ (inverse @ weights))


def _folds(groups: Rows) -> list[tuple[Rows, Rows]]:
    """Splits records into folds that share no group; none where there is one group only."""
    number = min(FOLDS, len(np.unique(groups)))
    if number < 2:
        return []
    return list(GroupKFold(number).split(groups, groups=groups))
