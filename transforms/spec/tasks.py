"""Section `tasks` of a spec: classification, tagging and text generation."""

from typing import Any, Literal, NamedTuple, Self

import pydantic

from triad_ml.transforms.spec.section import Section


class Writing(NamedTuple):
    """How a generation task writes: see the attributes of `Task` of the same names."""

    vocabulary: int
    length: int
    beam: int


_WRITING = Writing(vocabulary=8000, length=32, beam=4)
_OWN = {
    "classification": ("multi_label", "imbalance"),
    "tagging": ("tokens", "marker"),
    "generation": Writing._fields,
}
_UNSAID = {"multi_label": False, "imbalance": "none"}


class Task(Section):
    """One thing to be learned.

    Attributes:
        kind: `classification`: of two classes, of many, or of sets; `tagging`: spans of the text,
            each of one class; or `generation`: a text.
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
        vocabulary: Of a generation task: the pieces that texts are written with, at most; 8000.
        length: Of a generation task: pieces and copied words of a text, at most; 32.
        beam: Of a generation task: the beginnings that are kept while a text is written; 4, and 1
            keeps the likeliest alone.
    """

    kind: Literal["classification", "tagging", "generation"]
    label: str = pydantic.Field(min_length=1)
    multi_label: bool = False
    imbalance: Literal["none", "class_weights", "focal", "balanced_sampling"] = "none"
    gamma: float | None = pydantic.Field(default=None, ge=1, le=10)
    weight: float = pydantic.Field(default=1.0, gt=0)
    tokens: str | None = pydantic.Field(default=None, min_length=1)
    marker: str | None = pydantic.Field(default=None, min_length=1)
    vocabulary: int | None = pydantic.Field(default=None, ge=1, le=32_000)
    length: int | None = pydantic.Field(default=None, ge=2, le=256)
    beam: int | None = pydantic.Field(default=None, ge=1, le=8)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _defaults_of_writing(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("kind") == "generation":
            return {**_WRITING._asdict(), **given}
        return given

    @pydantic.model_validator(mode="after")
    def _keys_of_the_kind(self) -> Self:
        for kind, keys in _OWN.items():
            for key in keys:
                if kind != self.kind and getattr(self, key) != _UNSAID.get(key):
                    raise ValueError(f"a task of kind {self.kind} has no {key}; leave it out")
        return self

    @property
    def writing(self) -> Writing:
        """The settings of a generation task; of another kind the defaults."""
        said = {key: getattr(self, key) for key in Writing._fields}
        return _WRITING._replace(**{key: value for key, value in said.items() if value is not None})

    @pydantic.model_validator(mode="after")
    def _keys_of_the_imbalance(self) -> Self:
        if self.gamma is not None and self.imbalance != "focal":
            raise ValueError("gamma is of imbalance: focal; name that, or leave gamma out")
        if self.multi_label and self.imbalance == "balanced_sampling":
            raise ValueError(
                "balanced_sampling needs one class a record; use class_weights or focal for sets"
            )
        return self
