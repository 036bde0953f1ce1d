"""Layout of training files: spec, classes of each task and vocabularies."""

import dataclasses
from collections.abc import Mapping

from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.features.ids import FIRST_TOKEN
from triad_ml.transforms.spec.spec import Spec


def no_label(task: str) -> OptionsError:
    """Makes the error of a task that nothing can be learned for."""
    return OptionsError(
        f"task {task}: no record of the training split has a label; "
        "label some records or take the task out of the spec"
    )


@dataclasses.dataclass(frozen=True)
class Layout:
    """What the training files hold.

    Attributes:
        spec: Names and sizes.
        classes: The classes of each task, in the order of their ids.
        vocabulary_size: Number of token ids, padding and unknown included.

    Raises:
        OptionsError: Where a task has no classes.
    """

    spec: Spec
    classes: Mapping[str, tuple[str, ...]]
    vocabulary_size: int = FIRST_TOKEN

    def __post_init__(self) -> None:
        for name, task in self.spec.tasks.items():
            if task.needs_classes and not self.classes.get(name):
                raise no_label(name)

    @property
    def image_width(self) -> int | None:
        """How many numbers a picture is, where preprocessing has encoded it."""
        if self.spec.modalities.image is None or not self.spec.model.encodes_first:
            return None
        from triad_ml.transforms.encoders import image

        return image.width(self.spec)
