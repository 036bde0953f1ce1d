"""Registry of task heads, one class per kind of task."""

from collections.abc import Mapping, Sequence

from triad_ml.model.tasks.base import TaskHead
from triad_ml.model.tasks.classification.task import Classification
from triad_ml.model.tasks.generation.task import Generation
from triad_ml.model.tasks.regression.task import Regression
from triad_ml.model.tasks.tagging.task import Tagging
from triad_ml.transforms.spec.spec import Spec

HEADS: Mapping[str, type[TaskHead]] = {
    "classification": Classification,
    "tagging": Tagging,
    "generation": Generation,
    "regression": Regression,
}


def heads_of(
    spec: Spec,
    classes: Mapping[str, Sequence[str]] | None = None,
    thresholds: Mapping[str, Sequence[float]] | None = None,
) -> dict[str, TaskHead]:
    """Creates the head of each task, by its name in the order of the spec.

    Args:
        spec: Spec with the tasks.
        classes: By task, the names of its classes; None if the heads are not asked for them.
        thresholds: By task, its `TaskHead.thresholds`; None if the heads serve nothing.
    """
    known, chosen = classes or {}, thresholds or {}
    return {
        name: HEADS[task.kind](name, spec, known.get(name, ()), chosen.get(name, ()))
        for name, task in spec.tasks.items()
    }
