"""The spec as a whole: its sections, the rules between them, and its digests."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Self

import pydantic

from triad_ml.transforms.records import columns
from triad_ml.transforms.spec.modalities import Limits, Modalities
from triad_ml.transforms.spec.model import ModelSpec, is_joint
from triad_ml.transforms.spec.section import Section
from triad_ml.transforms.spec.split import Split
from triad_ml.transforms.spec.tasks import Task as Task
from triad_ml.transforms.spec.training import Mixture, Training

TASK_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


_FEATURE_KEYS = ("kind", "label", "multi_label", "tokens", "marker", "vocabulary", "length")


class Spec(Section):
    """Modalities and tasks of the records, and settings of the model and its training."""

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
    def _encoders_need_media(self) -> Self:
        if self.model.pretrained and self.modalities.image is None:
            raise ValueError(
                f"model.image_encoder: {self.model.image_encoder} needs modalities.image; name it"
            )
        if self.model.text_encoder is not None and self.modalities.text is None:
            raise ValueError(
                f"model.text_encoder: {self.model.text_encoder} needs modalities.text; name it"
            )
        return self

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

        That is modalities, limits, the tasks' labels, an image encoder that preprocessing runs, and
        the pieces of a text encoder.
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
        if self.model.text_encoder is not None:
            part["text_encoder"] = {
                "text_encoder": self.model.text_encoder,
                "text_weights_sha256": self.model.text_weights_sha256,
                "text_pieces": self.model.pieces,
                "first": self.model.encodes_texts_first,
            }
        return json.dumps(part, sort_keys=True, ensure_ascii=False)


_PATHS = ("image_weights", "text_weights")


def digest_of(whole: Mapping[str, Any]) -> str:
    """Returns the `Spec.digest` of a spec as JSON values, which any version may have written."""
    model = {key: value for key, value in whole.get("model", {}).items() if key not in _PATHS}
    content = json.dumps({**whole, "model": model}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()
