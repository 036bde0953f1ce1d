"""Task sections of a spec: one class for each kind of task, and their union."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias, get_args

import pydantic

from triad_ml.transforms.spec.section import Section

_OTHERS = {"multi_label": False, "imbalance": "none"}
"""Values that a task may have for keys of other kinds: stored specs have both for every task."""


class BaseTask(Section):
    """Keys that every kind of task has, and properties that differ between kinds.

    Attributes:
        label: Key of the task's label in a record's `labels`.
        weight: Weight of the task's loss.
        needs_text: True if the task needs a text because it works on its words.
        needs_joint: True if the head reads a joint embedding of the modalities.
        reads_words: True if the task reads words of the text, not their ids alone.
        places_spans: True if labels and scores have positions in the caller's text.
        needs_classes: True if a model has a list of classes, or of subwords, for the task.
    """

    label: str = pydantic.Field(min_length=1)
    weight: float = pydantic.Field(default=1.0, gt=0)

    needs_text: ClassVar[bool] = False
    needs_joint: ClassVar[bool] = False
    reads_words: ClassVar[bool] = False
    places_spans: ClassVar[bool] = False
    needs_classes: ClassVar[bool] = True

    @pydantic.model_validator(mode="before")
    @classmethod
    def _without_keys_of_other_kinds(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        kept = dict(given)
        for key in [key for key in kept if key in _ALL_KEYS and key not in cls.model_fields]:
            value, unsaid = kept.pop(key), _OTHERS.get(key)
            if type(value) is not type(unsaid) or value != unsaid:
                kind = kept.get("kind")
                raise ValueError(f"a task of kind {kind} has no {key}; leave it out")
        return kept

    @property
    def label_keys(self) -> tuple[str, ...]:
        """Keys in a record's `labels` that the task reads."""
        return (self.label,)

    def record_bytes(self, words: int) -> int:
        """Estimates the size of the task's columns in one training record, in bytes.

        Args:
            words: Number of words in the text features; 0 without a text.
        """
        return 0


Imbalance: TypeAlias = Literal[
    "none",
    "class_weights",
    "class_balanced",
    "logit_adjustment",
    "focal",
    "balanced_sampling",
    "gan",
    "noise",
]
"""Remedies for class imbalance of a classification task."""

GENERATED = ("gan", "noise")
"""Remedies that add generated vectors of rare classes to the training split."""


class ClassificationTask(BaseTask):
    """A task that predicts one class of a record, or a set of classes.

    Attributes:
        multi_label: True if a label is a set of classes.
        imbalance: Remedy for class imbalance. `none`; `class_weights`: each class has the same
            weight in the loss; `class_balanced`: classes weigh by the effective number of their
            records; `logit_adjustment`: the loss adds the log priors of the classes to the logits;
            `focal`: records that are predicted well weigh little; `balanced_sampling`: records of
            rare classes are sampled more often, for at most one task of a spec; `gan`: training
            also sees generated vectors of rare classes; `noise`: the control of `gan`, vectors of
            rare classes with noise. The last two are not for a multi-label task.
        gamma: Exponent of the focal loss; 2 if None.
        beta: Weight of each further record of a class relative to the one before it, in the
            effective number of records of `class_balanced`; 0.99 if None.
        thresholds: Criterion by which the eval split chooses the lowest probability with which a
            class is in a set, class by class; 0.5 for all classes if None.
    """

    kind: Literal["classification"]
    multi_label: bool = False
    imbalance: Imbalance = "none"
    gamma: float | None = pydantic.Field(default=None, ge=1, le=10)
    beta: float | None = pydantic.Field(default=None, gt=0, lt=1)
    thresholds: Literal["f1"] | None = None

    tokens: ClassVar[None] = None
    marker: ClassVar[None] = None

    @pydantic.model_validator(mode="after")
    def _keys_of_the_imbalance(self) -> Self:
        if self.gamma is not None and self.imbalance != "focal":
            raise ValueError("gamma is of imbalance: focal; name that, or leave gamma out")
        if self.beta is not None and self.imbalance != "class_balanced":
            raise ValueError("beta is of imbalance: class_balanced; name that, or leave beta out")
        if self.multi_label and self.imbalance in GENERATED:
            raise ValueError(
                f"imbalance: {self.imbalance} needs one class a record; "
                "use balanced_sampling or logit_adjustment for sets"
            )
        if self.thresholds is not None and not self.multi_label:
            raise ValueError("thresholds are for multi_label: true; leave them out")
        return self


class _WithoutClasses(BaseTask):
    """A task that does not classify records; stored specs have `multi_label` nevertheless."""

    multi_label: ClassVar[bool] = False
    thresholds: ClassVar[None] = None

    @pydantic.model_serializer(mode="wrap")
    def _with_keys_of_every_task(self, dump: pydantic.SerializerFunctionWrapHandler) -> Any:
        return {**_OTHERS, **dump(self)}


class TaggingTask(_WithoutClasses):
    """A task that finds spans of the text, each of one class.

    Attributes:
        tokens: Key in a record's `labels` of the tokens that BIO tags belong to; None: the text is
            split at white space.
        marker: Key in a record's `labels` of the marker, the token or span to which the tags
            relate, such as a predicate.
        imbalance: Remedy for class imbalance. `none`; `balanced_sampling`: records with spans of
            rare classes are sampled more often, for at most one task of a spec.
    """

    kind: Literal["tagging"]
    imbalance: Literal["none", "balanced_sampling"] = "none"
    tokens: str | None = pydantic.Field(default=None, min_length=1)
    marker: str | None = pydantic.Field(default=None, min_length=1)

    needs_text: ClassVar[bool] = True
    needs_joint: ClassVar[bool] = True
    reads_words: ClassVar[bool] = True
    places_spans: ClassVar[bool] = True

    @property
    def label_keys(self) -> tuple[str, ...]:
        """Keys in a record's `labels` that the task reads."""
        return tuple(key for key in (self.label, self.tokens, self.marker) if key)

    def record_bytes(self, words: int) -> int:
        """Estimates the size of the tags and of the marked words, in bytes."""
        return 4 * words * (2 if self.marker else 1)


class GenerationTask(_WithoutClasses):
    """A task that writes a text.

    Attributes:
        vocabulary: Largest number of subwords in the vocabulary.
        length: Largest number of subwords and copied words of a text.
        beam: Width of the beam search; 1 is greedy.
    """

    kind: Literal["generation"]
    vocabulary: int = pydantic.Field(default=8000, ge=1, le=32_000)
    length: int = pydantic.Field(default=32, ge=2, le=256)
    beam: int = pydantic.Field(default=4, ge=1, le=8)

    imbalance: ClassVar[str] = "none"
    needs_joint: ClassVar[bool] = True
    reads_words: ClassVar[bool] = True
    tokens: ClassVar[None] = None
    marker: ClassVar[None] = None

    def record_bytes(self, words: int) -> int:
        """Estimates the size of the text and of the words that it may copy, in bytes."""
        return 16 * words + 8 * self.length

    @pydantic.model_validator(mode="before")
    @classmethod
    def _null_is_the_default(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        own = ("vocabulary", "length", "beam")
        return {key: value for key, value in given.items() if value is not None or key not in own}


class RegressionTask(BaseTask):
    """A task that predicts a number; the label is the number."""

    kind: Literal["regression"]

    needs_joint: ClassVar[bool] = True
    needs_classes: ClassVar[bool] = False
    multi_label: ClassVar[bool] = False
    thresholds: ClassVar[None] = None
    imbalance: ClassVar[str] = "none"
    tokens: ClassVar[None] = None
    marker: ClassVar[None] = None

    def record_bytes(self, words: int) -> int:
        """Estimates the size of the number and its scale, in bytes."""
        return 16


_Kind: TypeAlias = ClassificationTask | TaggingTask | GenerationTask | RegressionTask
Task: TypeAlias = Annotated[_Kind, pydantic.Field(discriminator="kind")]
"""A task of any kind."""

KINDS: Mapping[str, type[BaseTask]] = {
    get_args(kind.model_fields["kind"].annotation)[0]: kind for kind in get_args(_Kind)
}
"""Section class of each kind of task, in the order of the documentation."""

_ALL_KEYS = {key for kind in KINDS.values() for key in kind.model_fields}
