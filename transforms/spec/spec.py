"""The spec: what records hold and what is to be learned; the one place for sizes and names."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic

from triad_ml.transforms.encoder_spec import EncoderSpec
from triad_ml.transforms.mixtures import Mixture
from triad_ml.transforms.records import columns
from triad_ml.transforms.records.values import MODALITIES
from triad_ml.transforms.spec.tasks import Section
from triad_ml.transforms.spec.tasks import Task as Task

TASK_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")

PAD, UNKNOWN, FIRST_TOKEN = 0, 1, 2
"""Token ids: padding, any token that is not in the vocabulary, and the vocabulary's first token."""

MISSING_LABEL = -1
"""The class id where a record has no label; of tags also where there is no word."""

NO_MARKER = (-1, -1)
"""The marked characters where nothing is marked."""

ISSUES_LIMIT = 0.5
"""The largest share of a modality's media that may be lost, where nothing else is said."""

_FEATURE_KEYS = ("kind", "label", "multi_label", "tokens", "marker", "vocabulary", "length")

_Filters = Annotated[tuple[Annotated[int, pydantic.Field(ge=4)], ...], pydantic.Field(strict=False)]


class ModalitySpec(Section):
    """What each modality has.

    Attributes:
        issues_limit: Largest share of its media that may be lost: over it nothing is written. None
            is `ISSUES_LIMIT`. It decides no feature.
    """

    issues_limit: float | None = pydantic.Field(default=None, ge=0, le=1)


class ImageSpec(ModalitySpec):
    """Pictures become uint8 `[size, size, 3]`.

    Attributes:
        size: Height and width in pixels.
        fit: `pad` keeps the aspect ratio and fills up with white, `stretch` does not keep it.
    """

    size: int = pydantic.Field(default=224, ge=16, le=1024)
    fit: Literal["pad", "stretch"] = "pad"


class AudioSpec(ModalitySpec):
    """Sounds become log-mel float32 `[frames, mel_bins]`.

    Attributes:
        sample_rate: In Hz.
        seconds: What is longer is cut at the end, what is shorter is padded.
        mel_bins: Number of mel bands between 20 Hz and half the sample rate.
    """

    sample_rate: int = pydantic.Field(default=16_000, ge=4_000, le=48_000)
    seconds: float = pydantic.Field(default=4.0, gt=0.1, le=60)
    mel_bins: int = pydantic.Field(default=64, ge=8, le=256)

    @property
    def samples(self) -> int:
        """Number of samples kept."""
        return round(self.sample_rate * self.seconds)

    @property
    def frame_length(self) -> int:
        """Samples in a frame: 25 ms."""
        return round(self.sample_rate * 0.025)

    @property
    def frame_step(self) -> int:
        """Samples from frame to frame: 10 ms."""
        return round(self.sample_rate * 0.010)

    @property
    def frames(self) -> int:
        """Number of whole frames in `samples`."""
        return 1 + (self.samples - self.frame_length) // self.frame_step


class TextSpec(ModalitySpec):
    """Texts become token ids int64 `[length]`: `PAD`, `UNKNOWN`, or from `FIRST_TOKEN` on.

    Attributes:
        tokens: `word` (each Han or Kana character is a word) or `character`.
        vocabulary: The most frequent tokens kept.
        length: Tokens kept; what is longer is cut at the end.
        spelling: Vectors that beginnings, ends and shapes of words share by a hash; None has none.
    """

    tokens: Literal["word", "character"] = "word"
    vocabulary: int = pydantic.Field(default=20_000, ge=1, le=1_000_000)
    length: int = pydantic.Field(default=64, ge=1, le=4096)
    spelling: int | None = pydantic.Field(default=None, ge=16, le=2**20)

    @pydantic.model_validator(mode="after")
    def _spelling_of_words(self) -> Self:
        if self.spelling and self.tokens != "word":
            raise ValueError(f"spelling is for tokens: word, not {self.tokens}; leave it out")
        return self


class Limits(Section):
    """What is refused before it is decoded, and to what a picture is reduced.

    Attributes:
        media_bytes: Of one picture or sound, as stored.
        text_bytes: Of one text, as UTF-8.
        image_pixels: Width times height; larger pictures are refused.
        keep_pixels: Width times height; larger pictures are reduced to it.
        audio_seconds: Declared duration; longer sounds are refused.
        decode_seconds: CPU time of decoding one medium in a child process, and of a second try
            where a used child fails on it; three times as much by the clock.
    """

    media_bytes: int = pydantic.Field(default=64 * 2**20, ge=1)
    text_bytes: int = pydantic.Field(default=2**20, ge=1)
    image_pixels: int = pydantic.Field(default=40_000_000, ge=1)
    keep_pixels: int = pydantic.Field(default=4_000_000, ge=256)
    audio_seconds: float = pydantic.Field(default=3600.0, gt=0)
    decode_seconds: float = pydantic.Field(default=20.0, gt=0, le=3600)


class Modalities(Section):
    """The modalities that the model sees; at least one."""

    image: ImageSpec | None = None
    audio: AudioSpec | None = None
    text: TextSpec | None = None

    @pydantic.model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if not self.names:
            raise ValueError(f"name at least one of {', '.join(MODALITIES)}")
        return self

    @pydantic.field_validator("image", "audio", "text", mode="before")
    @classmethod
    def _named_is_wanted(cls, value: Any) -> Any:
        return {} if value is None else value  # `image:` with nothing behind it

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities named, in the order of `MODALITIES`."""
        return tuple(name for name in MODALITIES if getattr(self, name) is not None)


class ModelSpec(EncoderSpec):
    """The fused network, with an encoder of pictures.

    Attributes:
        fusion: `concat`, `mlp`, `gated` or `attention`, see `model.fusions`; or `sum`, see
            `model.added`.
        dim: Size of each modality's embedding and of the joint one.
        image_filters: Channels of the picture tower's stages, each at half the size before.
        audio_filters: Channels of the sound tower's stages.
        text_dim: Size of a token's embedding.
        text_ngrams: Vectors that sequences of two to four tokens share by a hash; 0 has none.
        dropout: Share of units dropped in the towers' ends and in the heads.
        modality_dropout: Probability, per record, with which each modality that is there is hidden
            in training; at least one stays.
    """

    fusion: Literal["concat", "mlp", "gated", "attention", "sum"] = "gated"
    dim: int = pydantic.Field(default=128, ge=4, le=4096)
    image_filters: _Filters = (24, 48, 96, 160)
    audio_filters: _Filters = (24, 48, 96)
    text_dim: int = pydantic.Field(default=96, ge=4, le=4096)
    text_ngrams: int = pydantic.Field(default=0, ge=0, le=2**20)
    dropout: float = pydantic.Field(default=0.3, ge=0, lt=1)
    modality_dropout: float = pydantic.Field(default=0.2, ge=0, lt=1)


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


class Split(Section):
    """Shares of the splits. A record's own `split` wins over them.

    Attributes:
        by: `group` (a record without a group is one of its own) or `id`.
    """

    by: Literal["group", "id"] = "group"
    train: float = pydantic.Field(default=0.8, gt=0, le=1)
    eval: float = pydantic.Field(default=0.1, ge=0, lt=1)
    test: float = pydantic.Field(default=0.1, ge=0, lt=1)

    @pydantic.model_validator(mode="after")
    def _adds_up(self) -> Self:
        total = self.train + self.eval + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, eval and test must add up to 1, got {total:g}")
        return self


class Spec(Section):
    """What the records hold, what is to be learned, and how."""

    modalities: Modalities
    tasks: dict[str, Task] = pydantic.Field(min_length=1)
    model: ModelSpec = ModelSpec()
    training: Training = Training()
    mixture: Mixture | None = None
    split: Split = Split()
    limits: Limits = Limits()

    @pydantic.field_validator("tasks")
    @classmethod
    def _task_names(cls, tasks: dict[str, Task]) -> dict[str, Task]:
        for name in tasks:
            if not TASK_NAME.fullmatch(name):
                raise ValueError(f"task {name!r}: use a-z, 0-9 and _, beginning with a letter")
            if columns.is_refused_task(name):
                raise ValueError(f"task {name!r}: the name is a column of the scores; take another")
        return tasks

    @pydantic.model_validator(mode="after")
    def _tagging_needs_text(self) -> Self:
        if self.tagging and self.modalities.text is None:
            raise ValueError(f"tasks.{self.tagging[0]}: tagging needs modalities.text; name it")
        return self

    @pydantic.model_validator(mode="after")
    def _sum_joins_nothing(self) -> Self:
        others = [name for name, task in self.tasks.items() if task.kind != "classification"]
        if self.model.fusion == "sum" and others:
            raise ValueError(
                f"tasks.{others[0]}: {self.tasks[others[0]].kind} needs a joint embedding, which "
                "model.fusion: sum has not; choose another fusion"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _one_order_of_records(self) -> Self:
        sampled = [n for n, task in self.tasks.items() if task.imbalance == "balanced_sampling"]
        if len(sampled) > 1:
            raise ValueError(
                f"tasks {', '.join(sampled)}: only one can have imbalance: balanced_sampling; "
                "use class_weights or focal for the others"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _encoders_need_pictures(self) -> Self:
        if self.model.pretrained and self.modalities.image is None:
            raise ValueError(
                f"model.image_encoder: {self.model.image_encoder} needs modalities.image; name it"
            )
        return self

    @property
    def tagging(self) -> tuple[str, ...]:
        """The tasks of kind tagging, in their order."""
        return tuple(name for name, task in self.tasks.items() if task.kind == "tagging")

    @property
    def generation(self) -> tuple[str, ...]:
        """The tasks of kind generation, in their order."""
        return tuple(name for name, task in self.tasks.items() if task.kind == "generation")

    @property
    def balanced_task(self) -> str | None:
        """The task whose classes are to come alike often, where there is one."""
        tasks = self.tasks.items()
        return next((name for name, task in tasks if task.imbalance == "balanced_sampling"), None)

    @property
    def markers(self) -> dict[str, str]:
        """By task, the key of its marker, where it has one."""
        return {name: task.marker for name, task in self.tasks.items() if task.marker}

    @property
    def label_names(self) -> tuple[str, ...]:
        """The keys in `labels` that the tasks read, each once, sorted."""
        read = [(task.label, task.tokens, task.marker) for task in self.tasks.values()]
        return tuple(sorted({key for keys in read for key in keys if key}))

    def to_json(self) -> str:
        """The spec with every default said, in one canonical line."""
        whole = self.model_dump(mode="json", exclude_none=True)
        return json.dumps(whole, sort_keys=True, ensure_ascii=False)

    def digest(self) -> str:
        """SHA-256 of the spec, hexadecimal: where a file of weights lies does not count."""
        return digest_of(self.model_dump(mode="json", exclude_none=True))

    def features_json(self) -> str:
        """The part that decides what a feature is.

        That is modalities, limits, the tasks' labels, and an encoder that preprocessing runs.
        """
        whole = self.model_dump(mode="json", exclude_none=True)
        tasks = {
            name: {key: task[key] for key in _FEATURE_KEYS if key in task}
            for name, task in whole["tasks"].items()
        }
        modalities = {
            name: {key: value for key, value in section.items() if key != "issues_limit"}
            for name, section in whole["modalities"].items()
        }
        part = {"modalities": modalities, "limits": whole["limits"], "tasks": tasks}
        if self.mixture is not None:
            part["dataset"] = self.mixture.by
        if self.model.encodes_first:
            keys = ("image_encoder", "image_weights_sha256", "image_arguments")
            part["encoder"] = {key: whole["model"].get(key) for key in keys}
            if self.model.image_layers:
                part["encoder"]["image_layers"] = whole["model"]["image_layers"]
        return json.dumps(part, sort_keys=True, ensure_ascii=False)


def digest_of(whole: Mapping[str, Any]) -> str:
    """`Spec.digest` of a spec that was written by some version, with the keys of that version."""
    model = {key: value for key, value in whole.get("model", {}).items() if key != "image_weights"}
    said = json.dumps({**whole, "model": model}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(said.encode()).hexdigest()
