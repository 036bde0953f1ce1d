"""The spec as a whole: its sections, the rules between them, and its digests."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Self

import pydantic

from triad_ml.transforms.records import columns
from triad_ml.transforms.spec.drift import Drift
from triad_ml.transforms.spec.encoder_names import AS_IMAGE, MUSICNN, WHISPER
from triad_ml.transforms.spec.modalities import Limits, Modalities
from triad_ml.transforms.spec.model import BOTH, CNN, NO_TASK_FUSION, ModelSpec, is_joint
from triad_ml.transforms.spec.section import Section, unless
from triad_ml.transforms.spec.split import Split
from triad_ml.transforms.spec.tasks import GENERATED, Task
from triad_ml.transforms.spec.training import Mixture, Training

TASK_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


_FEATURE_KEYS = ("kind", "label", "multi_label", "tokens", "marker", "vocabulary", "length")


_AUDIO: Mapping[str, tuple[int, float | None]] = {
    WHISPER: (16_000, 30.0),
    MUSICNN: (16_000, None),
}
"""Sample rate that an audio encoder needs, and the largest number of seconds that it takes."""

_IMAGE_KEYS = ("image_encoder", "image_weights_sha256", "image_arguments")
_AUDIO_KEYS = ("audio_encoder", "audio_weights_sha256")
_PATHS = ("image_weights", "audio_weights", "text_weights")
"""Keys of `model` with paths, which are in no digest."""


class Spec(Section):
    """Modalities and tasks of the records, and settings of the model and its training."""

    modalities: Modalities
    tasks: dict[str, Task] = pydantic.Field(min_length=1)
    model: ModelSpec = ModelSpec()
    training: Training = Training()
    mixture: Mixture | None = None
    split: Split = Split()
    limits: Limits = Limits()
    drift: Drift = pydantic.Field(default=Drift(), exclude_if=unless(Drift()))

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
    def _words_need_a_text(self) -> Self:
        for name, task in self.tasks.items():
            if task.needs_text and self.modalities.text is None:
                raise ValueError(f"tasks.{name}: {task.kind} needs modalities.text; name it")
        return self

    @pydantic.model_validator(mode="after")
    def _sum_joins_nothing(self) -> Self:
        others = [name for name, task in self.tasks.items() if task.needs_joint]
        if not is_joint(self.model.fusion) and others:
            raise ValueError(
                f"tasks.{others[0]}: {self.tasks[others[0]].kind} needs a joint embedding, which "
                f"model.fusion: {self.model.fusion} has not; choose another fusion"
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
    def _generated_vectors_need_an_encoder(self) -> Self:
        if self.model.encodes_first:
            return self
        for name, task in self.tasks.items():
            if task.imbalance in GENERATED:
                raise ValueError(
                    f"tasks.{name}: imbalance: {task.imbalance} generates vectors of a frozen "
                    "image encoder; name a pretrained model.image_encoder with image_freeze: true, "
                    "or use another imbalance"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _encoders_need_media(self) -> Self:
        drawn = self.model.audio_encoder == AS_IMAGE
        if self.model.pretrained and self.modalities.image is None and not drawn:
            raise ValueError(
                f"model.image_encoder: {self.model.image_encoder} needs modalities.image; name it"
            )
        if self.model.text_encoder is not None and self.modalities.text is None:
            raise ValueError(
                f"model.text_encoder: {self.model.text_encoder} needs modalities.text; name it"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _parts_have_an_input(self) -> Self:
        model = self.model
        if model.text_tower != CNN and self.modalities.text is None:
            raise ValueError(f"model.text_tower: {model.text_tower} needs modalities.text; name it")
        if model.audio_tower != BOTH and self.modalities.audio is None:
            raise ValueError(
                f"model.audio_tower: {model.audio_tower} needs modalities.audio; name it"
            )
        if model.task_fusion != NO_TASK_FUSION and len(self.tasks) < 2:
            raise ValueError(
                f"model.task_fusion: {model.task_fusion} joins tasks, but there is only one; "
                "name another task, or leave task_fusion out"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _changes_have_their_media(self) -> Self:
        sections, changes = self.modalities, self.training.changes
        if self.training.copies and sections.audio is None:
            raise ValueError(
                f"training.augment.{self.training.copies[0]} needs modalities.audio; name it, or "
                "leave the switch out"
            )
        if "mixup" in changes and sections.image is None and sections.audio is None:
            raise ValueError(
                "training.augment.mixup mixes images and audio, and the spec has neither; leave it "
                "out"
            )
        spelled = [name for name, task in self.tasks.items() if task.reads_words]
        if "mixup" in changes and spelled:
            raise ValueError(
                f"training.augment.mixup: tasks.{spelled[0]} reads words, which cannot be mixed; "
                "leave it out"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _encoders_need_audio(self) -> Self:
        encoder, audio = self.model.audio_encoder, self.modalities.audio
        if encoder is None:
            return self
        if audio is None:
            raise ValueError(f"model.audio_encoder: {encoder} needs modalities.audio; name it")
        rate, seconds = _AUDIO.get(encoder, (None, None))
        if rate is not None and audio.sample_rate != rate:
            raise ValueError(
                f"modalities.audio.sample_rate: model.audio_encoder {encoder} needs {rate}, got "
                f"{audio.sample_rate}; change it"
            )
        if seconds is not None and audio.seconds > seconds:
            raise ValueError(
                f"modalities.audio.seconds: model.audio_encoder {encoder} takes {seconds:g} at "
                f"most, got {audio.seconds:g}; choose fewer"
            )
        return self

    @property
    def needs_librosa(self) -> bool:
        """True if preprocessing takes a filter bank or an effect of librosa."""
        audio = self.modalities.audio
        return bool(self.training.copies) or (audio is not None and audio.needs_librosa)

    def without_copies(self) -> Self:
        """Returns the spec of a preprocessing that adds no copies of training records."""
        training = self.training.model_copy(update={"augment": False})
        return self.model_copy(update={"training": training}) if self.training.copies else self

    @property
    def reads_words(self) -> bool:
        """True if any task reads words of the text, not their ids alone."""
        return any(task.reads_words for task in self.tasks.values())

    @property
    def places_spans(self) -> bool:
        """True if labels or scores of any task have positions in the caller's text."""
        return any(task.places_spans for task in self.tasks.values())

    @property
    def balanced_task(self) -> str | None:
        """Task whose classes are sampled equally often; None without one."""
        tasks = self.tasks.items()
        return next((name for name, task in tasks if task.imbalance == "balanced_sampling"), None)

    @property
    def markers(self) -> dict[str, str]:
        """Key of the marker in a record's `labels`, by task; tasks without a marker are absent."""
        return {name: task.marker for name, task in self.tasks.items() if task.marker}

    @property
    def label_names(self) -> tuple[str, ...]:
        """Keys in a record's `labels` that the tasks read, each once, sorted."""
        return tuple(sorted({key for task in self.tasks.values() for key in task.label_keys}))

    def to_json(self) -> str:
        """Returns the spec with all defaults as one canonical line of JSON."""
        whole = self.model_dump(mode="json", exclude_none=True)
        return json.dumps(whole, sort_keys=True, ensure_ascii=False)

    def digest(self) -> str:
        """Returns the SHA-256 of the spec, hexadecimal; paths of weights do not count."""
        return digest_of(self.model_dump(mode="json", exclude_none=True))

    def features_json(self) -> str:
        """Returns the part of the spec that decides features, as canonical JSON.

        That is modalities, limits, the tasks' labels, an encoder that preprocessing runs, the kind
        of an audio encoder, which decides the input that preprocessing computes for it, and the
        pieces of a text encoder.
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
            part["encoder"] = self._image_encoder(whole["model"])
        if self.model.audio_encoder is not None:
            audio = {key: whole["model"].get(key) for key in _AUDIO_KEYS}
            if self.model.encodes_audio_first:
                audio |= {"frozen": True, "audio_pooling": self.model.audio_pooling}
                if self.model.audio_layers is not None:
                    audio["audio_layers"] = whole["model"]["audio_layers"]
                if self.model.audio_encoder == AS_IMAGE:
                    audio |= self._image_encoder(whole["model"])
            part["audio_encoder"] = audio
        if self.model.text_encoder is not None:
            part["text_encoder"] = {
                "text_encoder": self.model.text_encoder,
                "text_weights_sha256": self.model.text_weights_sha256,
                "text_pieces": self.model.pieces,
                "first": self.model.encodes_texts_first,
            }
        return json.dumps(part, sort_keys=True, ensure_ascii=False)

    def _image_encoder(self, model: Mapping[str, Any]) -> dict[str, Any]:
        part = {key: model.get(key) for key in _IMAGE_KEYS}
        return part | ({"image_layers": model["image_layers"]} if self.model.image_layers else {})


def digest_of(whole: Mapping[str, Any]) -> str:
    """Returns the `Spec.digest` of a spec as JSON values, which any version may have written."""
    model = {key: value for key, value in whole.get("model", {}).items() if key not in _PATHS}
    content = json.dumps({**whole, "model": model}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()
