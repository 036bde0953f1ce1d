"""Layout of the training files: the spec, the classes of each task and the vocabulary size."""

import dataclasses
from collections.abc import Mapping

from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.features.ids import FIRST_TOKEN
from triad_ml.transforms.spec.spec import Spec


def no_label(task: str) -> OptionsError:
    """Returns the error for a task without any label in the training split."""
    return OptionsError(
        f"task {task}: no record of the training split has a label; "
        "label some records or take the task out of the spec"
    )


@dataclasses.dataclass(frozen=True)
class Layout:
    """Contents of the training files.

    Attributes:
        spec: Spec that names the modalities and tasks and sets their sizes.
        classes: By task, the names of its classes, in the order of their ids.
        vocabulary_size: Number of token ids, including those for padding and unknown tokens.
        grams: True if the model reads the n-grams of texts too, as linear models do.

    Raises:
        OptionsError: If a task that needs classes has none.
    """

    spec: Spec
    classes: Mapping[str, tuple[str, ...]]
    vocabulary_size: int = FIRST_TOKEN
    grams: bool = False

    def __post_init__(self) -> None:
        for name, task in self.spec.tasks.items():
            if task.needs_classes and not self.classes.get(name):
                raise no_label(name)

    @property
    def image_width(self) -> int | None:
        """Length of an image's vector; None unless preprocessing runs the pretrained encoder."""
        if self.spec.modalities.image is None or not self.spec.model.encodes_first:
            return None
        from triad_ml.transforms.encoders import image

        return image.width(self.spec)

    @property
    def audio_width(self) -> int | None:
        """Length of a record's audio vector; None unless preprocessing runs the encoder."""
        if self.spec.modalities.audio is None or not self.spec.model.encodes_audio_first:
            return None
        from triad_ml.transforms.encoders import audio

        return audio.width(self.spec)

    @property
    def text_width(self) -> int | None:
        """Length of a text's vector; None unless preprocessing runs the pretrained encoder."""
        if self.spec.modalities.text is None or not self.spec.model.encodes_texts_first:
            return None
        from triad_ml.transforms.encoders.texts import encoder

        return encoder.config_of(self.spec.model).pooled
