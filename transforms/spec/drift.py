"""Section `drift` of a spec: limits of the drift between training and scoring."""

import pydantic

from triad_ml.transforms.records.values import MODALITIES
from triad_ml.transforms.spec.section import Section

LIMIT = 0.1
"""Default of the largest distance beyond chance."""

PREDICTION = "prediction"
"""Feature that compares predicted classes with the labels of training."""

OF_PREDICTIONS = 0.3
"""Default of its limit: a model that errs predicts other shares than those of its labels."""

_FIRST_PARTS = (*MODALITIES, "label", "score", PREDICTION)


class Drift(Section):
    """Limits of drift.

    Attributes:
        limit: Largest distance beyond chance, in [0, 1], of features without an own limit. None:
            `LIMIT`, and `OF_PREDICTIONS` for predictions.
        limits: Own limits of a feature (`image.brightness`, `score.category`), or of all features
            whose names begin with a part (`audio`).
    """

    limit: float | None = pydantic.Field(default=None, ge=0, le=1)
    limits: dict[str, float] = {}

    @pydantic.field_validator("limits")
    @classmethod
    def _features(cls, limits: dict[str, float]) -> dict[str, float]:
        for feature, limit in limits.items():
            if feature.partition(".")[0] not in _FIRST_PARTS:
                raise ValueError(
                    f"{feature}: is no feature; its name begins with {', '.join(_FIRST_PARTS)}, "
                    "such as image.brightness"
                )
            if not 0 <= limit <= 1:
                raise ValueError(f"{feature}: must be from 0 to 1, got {limit:g}")
        return limits

    def of_feature(self, feature: str) -> float:
        """Returns the limit of a feature: of itself, of the longest part of its name, or of all."""
        part = feature
        while part:
            if part in self.limits:
                return self.limits[part]
            part = part.rpartition(".")[0]
        if self.limit is not None:
            return self.limit
        return OF_PREDICTIONS if feature.startswith(f"{PREDICTION}.") else LIMIT
