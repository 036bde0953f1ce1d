"""One task of a spec, and what all sections of a spec have in common."""

from typing import Any, Literal, Self

import pydantic


class Section(pydantic.BaseModel):
    """A part of a spec: it cannot be changed, and has no keys but its own."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)


class Task(Section):
    """One thing to be learned.

    Attributes:
        kind: `classification`: of two classes, of many, or of sets; or `tagging`: spans of the
            text, each of one class.
        label: The key in a record's `labels`.
        multi_label: True where a label is a set of classes.
        imbalance: `none`; `class_weights`: each class weighs alike in the loss; `focal`: what is
            already right weighs little; `balanced_sampling`: records of rare classes come more
            often, at most one task of a spec, and none of sets.
        gamma: Of the focal loss; 2 if None.
        weight: Of the task's loss.
        tokens: Of a tagging task: the key in `labels` of the tokens that BIO tags stand for; where
            there is none, they are what white space parts.
        marker: Of a tagging task: the key in `labels` of the one token or span that the tags are
            relative to, such as a predicate.
    """

    kind: Literal["classification", "tagging"]
    label: str = pydantic.Field(min_length=1)
    multi_label: bool = False
    imbalance: Literal["none", "class_weights", "focal", "balanced_sampling"] = "none"
    gamma: float | None = pydantic.Field(default=None, ge=1, le=10)
    weight: float = pydantic.Field(default=1.0, gt=0)
    tokens: str | None = pydantic.Field(default=None, min_length=1)
    marker: str | None = pydantic.Field(default=None, min_length=1)

    @pydantic.field_validator("kind", mode="before")
    @classmethod
    def _planned_kinds(cls, value: Any) -> Any:
        if value == "generation":
            raise ValueError(
                "tasks of kind generation do not exist yet; use classification or tagging"
            )
        return value

    @pydantic.model_validator(mode="after")
    def _keys_of_the_kind(self) -> Self:
        if self.kind == "tagging":
            wrong = {"multi_label": self.multi_label, "imbalance": self.imbalance != "none"}
        else:
            wrong = {"tokens": self.tokens is not None, "marker": self.marker is not None}
        for key, said in wrong.items():
            if said:
                raise ValueError(f"a task of kind {self.kind} has no {key}; leave it out")
        return self

    @pydantic.model_validator(mode="after")
    def _keys_of_the_imbalance(self) -> Self:
        if self.gamma is not None and self.imbalance != "focal":
            raise ValueError("gamma is of imbalance: focal; name that, or leave gamma out")
        if self.multi_label and self.imbalance == "balanced_sampling":
            raise ValueError(
                "balanced_sampling needs one class a record; use class_weights or focal for sets"
            )
        return self
