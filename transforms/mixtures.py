"""Several data sets in one training: which record is of which, and how they are mixed."""

import pydantic

from triad_ml.transforms.records.values import MODALITIES
from triad_ml.transforms.spec.tasks import Section

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
