"""Explanations of predictions: the signature that computes them, and its outputs per record."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy.typing as npt

from triad_ml.model.serving import bundle
from triad_ml.model.serving.export import EXPLAIN, SERVING, output_name
from triad_ml.model.tasks.heads import heads_of
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records.values import Explanation

Arrays = Mapping[str, npt.NDArray[Any]]


def signature(explain: bool) -> str:
    """Returns the name of the signature that scores."""
    return EXPLAIN if explain else SERVING


def check(model: bundle.Artefact, found: Collection[str], wanted: str) -> None:
    """Refuses a model without the signature that scoring needs.

    Args:
        model: Model bundle, for the error message.
        found: Names of the model's signatures.
        wanted: Name of the signature that scoring needs.

    Raises:
        OptionsError: If the model does not have the signature.
    """
    if wanted not in found:
        raise OptionsError(
            f"{model.folder}: has no signature {wanted!r}; train it with this version, or leave "
            "--explain out"
        )


class Rows:
    """Reader of explanations from the outputs of the signature `explain`.

    Args:
        model: Model bundle with the signature.
    """

    def __init__(self, model: bundle.Artefact) -> None:
        self._heads = heads_of(model.spec, model.classes)
        self._modalities = model.spec.modalities.names

    def __call__(self, task: str, outputs: Arrays, row: int) -> Explanation | None:
        """Reads the explanation of one row of a task; None if the task has no explanations."""
        head = self._heads[task]
        if head.explained_part is None:
            return None
        shares = outputs[output_name(task, "shares")][row]
        return Explanation(
            head.explained_label(outputs, row),
            float(outputs[output_name(task, "baseline")][row]),
            dict(zip(self._modalities, map(float, shares), strict=True)),
        )


def no_row(task: str, outputs: Arrays, row: int) -> Explanation | None:
    """Returns no explanation; the replacement of `Rows` for scoring without explanations."""
    return None
