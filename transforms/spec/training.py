"""Section `training` of a spec: optimizer, augmentation and mixture of data sets."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

import pydantic

from triad_ml.transforms.records.values import MODALITIES
from triad_ml.transforms.spec.section import Section, unless

DATASET_FEATURE = "label__dataset"
"""Feature with the name of a record's data set, if the spec has a mixture; it is not a label."""


class Mixture(Section):
    """Mixture of several data sets in training.

    Attributes:
        by: Field of a record that names its data set; a key that every record has is refused.
        temperature: Exponent of a data set's size in its share of the sampled records: 1 samples
            in proportion to size, 0 samples all data sets equally often.
    """

    by: str = pydantic.Field(min_length=1)
    temperature: float = pydantic.Field(default=1.0, ge=0, le=1)

    @pydantic.field_validator("by")
    @classmethod
    def _a_field_of_its_own(cls, value: str) -> str:
        if value in {"id", "group", "split", "labels", *MODALITIES}:
            raise ValueError(f"{value!r} is a key of every record; name a field of your own")
        return value


_Share = Annotated[float, pydantic.Field(ge=0, lt=1)]
_Positive = Annotated[float, pydantic.Field(gt=0, le=1)]


class _OfAdam(Section):
    """Arguments of Adam and AdamW; see `Training.optimizer_arguments`."""

    beta_1: _Share | None = None
    beta_2: _Share | None = None
    epsilon: _Positive | None = None
    amsgrad: bool | None = None


class _OfSgd(Section):
    """Arguments of stochastic gradient descent."""

    momentum: _Share | None = None
    nesterov: bool | None = None


class _OfLion(Section):
    """Arguments of Lion."""

    beta_1: _Share | None = None
    beta_2: _Share | None = None


class _OfRmsprop(Section):
    """Arguments of RMSprop."""

    rho: _Share | None = None
    momentum: _Share | None = None
    epsilon: _Positive | None = None
    centered: bool | None = None


class _OfAdagrad(Section):
    """Arguments of Adagrad."""

    initial_accumulator_value: Annotated[float, pydantic.Field(ge=0)] | None = None
    epsilon: _Positive | None = None


OptimizerName = Literal["adamw", "adam", "sgd", "lion", "rmsprop", "adagrad"]
"""Names of the optimizers in `model.training.optimizers`."""

ADAMW: Final = "adamw"
"""Optimizer unless a spec has another."""

ARGUMENTS: Mapping[OptimizerName, type[Section]] = {
    "adamw": _OfAdam,
    "adam": _OfAdam,
    "sgd": _OfSgd,
    "lion": _OfLion,
    "rmsprop": _OfRmsprop,
    "adagrad": _OfAdagrad,
}
"""Arguments of each optimizer; those that are absent have the defaults of Keras."""
USUAL = frozenset(("mirror", "zoom", "shift", "colour", "time_mask", "frequency_mask", "words"))
"""Changes of training batches that `augment: true` makes; the others must be named."""

COPIES = ("stretch", "pitch")
"""Changes of audio of which preprocessing writes copies of the training records."""


class Augment(Section):
    """Changes of records in training by name; None: as `augment: true` has it, see `USUAL`.

    Attributes:
        mirror: Images are mirrored, left to right, half of the time.
        flip: Images are flipped, top to bottom, half of the time.
        zoom: Images are enlarged or reduced.
        shift: Images are shifted, and audio in time.
        colour: Contrast, brightness and tint of images change.
        time_mask: Two spans of audio are masked.
        frequency_mask: A band of the features of audio is masked.
        words: Known tokens of texts become unknown ones.
        stretch: Preprocessing writes a copy of each training record with audio of another tempo.
        pitch: Preprocessing writes a copy of each training record with audio of another pitch.
        mixup: Records are mixed with others of the batch, and their labels likewise.
    """

    mirror: bool | None = None
    flip: bool | None = None
    zoom: bool | None = None
    shift: bool | None = None
    colour: bool | None = None
    time_mask: bool | None = None
    frequency_mask: bool | None = None
    words: bool | None = None
    stretch: bool | None = None
    pitch: bool | None = None
    mixup: bool | None = None

    @property
    def names(self) -> frozenset[str]:
        """Names of the changes that are made."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return frozenset(
            n for n, value in given.items() if (n in USUAL if value is None else value)
        )


BOOLEAN, SWITCHES = "boolean", "switches"
"""Tags of the forms of `training.augment`, which pydantic adds to the location of an error."""


def _form(value: Any) -> str:
    return SWITCHES if isinstance(value, Mapping | Augment) else BOOLEAN


class Training(Section):
    """Settings of the training.

    Attributes:
        epochs: Largest number of epochs.
        patience: Number of epochs without a better one after which training stops early.
        best_by: Criterion of the best epoch on the eval split, whose weights are kept. None: lowest
            loss. `accuracy`: highest sum of the tasks' accuracies, weighted by the tasks' `weight`,
            as training shows them. `last`: the last epoch.
        batch_size: Number of records per optimizer step.
        learning_rate: Peak of the schedule, a warm-up and a cosine decay.
        optimizer: Name of the optimizer.
        optimizer_arguments: Arguments of the optimizer; see `ARGUMENTS`.
        weight_decay: Weight decay, decoupled from the gradient; `adam` has none.
        fine_tune_rate: Peak for a pretrained encoder, as a share of `learning_rate`.
        label_smoothing: Share of a label's probability that is spread over all classes.
        task_weights: `fixed`: the `weight` of each task; `uncertainty`: learned weights that begin
            with it.
        auxiliary_weight: Weight of the losses of each modality's auxiliary heads, which exist in
            training only, and only if the spec names more than one modality.
        augment: True to shift, mirror and recolour images, mask bands of audio, and hide words;
            a mapping switches single changes, see `Augment`.
        calibrate: True to fit a temperature for each classification task on the eval split.
        seed: Seed of weights, order, dropout and augmentation.
    """

    epochs: int = pydantic.Field(default=40, ge=1)
    patience: int = pydantic.Field(default=10, ge=1)
    best_by: Literal["accuracy", "last"] | None = None
    batch_size: int = pydantic.Field(default=32, ge=1)
    learning_rate: float = pydantic.Field(default=1e-3, gt=0)
    optimizer: OptimizerName = pydantic.Field(default=ADAMW, exclude_if=unless(ADAMW))
    optimizer_arguments: dict[str, bool | int | float] = pydantic.Field(
        default={}, exclude_if=unless({})
    )
    weight_decay: float = pydantic.Field(default=1e-2, ge=0)
    fine_tune_rate: float = pydantic.Field(default=0.1, gt=0, le=1)
    label_smoothing: float = pydantic.Field(default=0.0, ge=0, lt=1)
    task_weights: Literal["fixed", "uncertainty"] = "fixed"
    auxiliary_weight: float = pydantic.Field(default=0.3, ge=0)
    augment: Annotated[
        Annotated[bool, pydantic.Tag(BOOLEAN)] | Annotated[Augment, pydantic.Tag(SWITCHES)],
        pydantic.Discriminator(_form),
    ] = True
    calibrate: bool = pydantic.Field(default=True, exclude_if=unless(True))
    seed: int = pydantic.Field(default=0, ge=0, lt=2**31)

    @pydantic.model_validator(mode="after")
    def _arguments_of_the_optimizer(self) -> Self:
        section = ARGUMENTS[self.optimizer]
        for key, value in self.optimizer_arguments.items():
            if key not in section.model_fields:
                known = ", ".join(section.model_fields)
                raise ValueError(
                    f"optimizer_arguments: {self.optimizer} has no {key}; it has {known}"
                )
            try:
                section.model_validate({key: value})
            except pydantic.ValidationError as error:
                message = error.errors(include_url=False)[0]["msg"]
                rule = f"{message[0].lower()}{message[1:]}"
                raise ValueError(f"optimizer_arguments.{key}: {rule}, got {value!r}") from error
        return self

    @property
    def changes(self) -> frozenset[str]:
        """Names of the changes of records in training, see `Augment`."""
        if isinstance(self.augment, Augment):
            return self.augment.names
        return USUAL if self.augment else frozenset()

    @property
    def copies(self) -> tuple[str, ...]:
        """Names of the changes of audio of which preprocessing writes copies, in fixed order."""
        return tuple(name for name in COPIES if name in self.changes)
