"""Section `training` of a spec: optimizer, augmentation and mixture of data sets."""

from typing import Literal

import pydantic

from triad_ml.transforms.records.values import MODALITIES
from triad_ml.transforms.spec.section import Section

DATASET_FEATURE = "label__dataset"
"""The feature that names a record's data set, where the spec has a mixture; it is no task's."""


class Mixture(Section):
    """How the records of several data sets are mixed in training.

    Attributes:
        by: The field of a record that names its data set, none of the record's own keys.
        temperature: A data set gives records in proportion to its size to this power: 1 as many as
            it has, 0 as many as every other.
    """

    by: str = pydantic.Field(min_length=1)
    temperature: float = pydantic.Field(default=1.0, ge=0, le=1)

    @pydantic.field_validator("by")
    @classmethod
    def _a_field_of_its_own(cls, value: str) -> str:
        if value in {"id", "group", "split", "labels", *MODALITIES}:
            raise ValueError(f"{value!r} is a key of every record; name a field of your own")
        return value


class Training(Section):
    """How the network is trained.

    Attributes:
        epochs: At most; training stops early when no epoch was better for `patience`.
        best_by: What makes an epoch of the eval split better, so that its weights count: None is
            the lower loss, `accuracy` the higher sum of the tasks' accuracies by their `weight`, as
            training shows them; with `last` the last epoch counts.
        batch_size: Records per optimizer step.
        learning_rate: Peak of a warm-up and cosine schedule.
        weight_decay: Of AdamW.
        fine_tune_rate: The peak for a pretrained encoder, as a share of `learning_rate`.
        label_smoothing: Share of a label's mass that is spread over all classes.
        task_weights: `fixed`: `weight` of each task; `uncertainty`: they are learned with it as
            what they begin with.
        auxiliary_weight: Of the losses of the heads that each modality has for itself, in training
            only, where the spec names more than one.
        augment: Shift, mirror and recolour pictures, mask bands of sounds, hide words.
        seed: Of weights, order, dropout and augmentation.
    """

    epochs: int = pydantic.Field(default=40, ge=1)
    patience: int = pydantic.Field(default=10, ge=1)
    best_by: Literal["accuracy", "last"] | None = None
    batch_size: int = pydantic.Field(default=32, ge=1)
    learning_rate: float = pydantic.Field(default=1e-3, gt=0)
    weight_decay: float = pydantic.Field(default=1e-2, ge=0)
    fine_tune_rate: float = pydantic.Field(default=0.1, gt=0, le=1)
    label_smoothing: float = pydantic.Field(default=0.0, ge=0, lt=1)
    task_weights: Literal["fixed", "uncertainty"] = "fixed"
    auxiliary_weight: float = pydantic.Field(default=0.3, ge=0)
    augment: bool = True
    seed: int = pydantic.Field(default=0, ge=0, lt=2**31)
