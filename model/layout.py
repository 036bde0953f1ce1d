"""TODO docstring of model.layout."""

import dataclasses
from collections.abc import Mapping

from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.features.ids import FIRST_TOKEN
from triad_ml.transforms.features.word_shapes import PARTS
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
    def record_bytes(self) -> int:
        """About how many bytes one record takes, decompressed."""
        sections = self.spec.modalities
        total = 512
        if sections.image is not None:
            total += 4 * self.image_width if self.image_width else 3 * sections.image.size**2
        if sections.audio is not None:
            total += 4 * sections.audio.frames * sections.audio.mel_bins
        if sections.text is not None:
            total += 4 * sections.text.length * (3 if self.spec.places_spans else 1)
            total += 4 * sections.text.length * PARTS if sections.text.spelling else 0
        words = sections.text.length if sections.text is not None else 0
        return total + sum(task.record_bytes(words) for task in self.spec.tasks.values())

    @property
    def image_width(self) -> int | None:
        """How many numbers a picture is, where preprocessing has encoded it."""
        if self.spec.modalities.image is None or not self.spec.model.encodes_first:
            return None
        from triad_ml.transforms.encoders import image

        return image.width(self.spec)

    @property
    def longest_record(self) -> int:
        """No record takes more bytes than this; what claims more is damaged or hostile."""
        return 4 * self.record_bytes + 2**20
