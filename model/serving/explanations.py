"""What scoring does where predictions shall come with explanations."""

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
    """Which signature scores."""
    return EXPLAIN if explain else SERVING


def check(model: bundle.Artefact, found: Collection[str], wanted: str) -> None:
    """Refuses a model without the signature that is to be called.

    Raises:
        OptionsError: Naming the model.
    """
    if wanted not in found:
        raise OptionsError(
            f"{model.folder}: has no signature {wanted!r}; train it with this version, or leave "
            "--explain out"
        )


class Rows:
    """Reads explanations from what the signature `explain` gives.

    Args:
        model: Whose signature that is.
    """

    def __init__(self, model: bundle.Artefact) -> None:
        self._heads = heads_of(model.spec, model.classes)
        self._modalities = model.spec.modalities.names

    def __call__(self, task: str, outputs: Arrays, row: int) -> Explanation | None:
        """The explanation of one row of a task; None where the task has none."""
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
    """Stands in the place of `Rows` where nothing is explained."""
    return None
