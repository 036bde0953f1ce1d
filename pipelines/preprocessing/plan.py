"""Plan of a preprocessing: its spec, inputs and key, made before TensorFlow is imported."""

import dataclasses
import hashlib
import importlib.util
import json
import logging
from collections.abc import Sequence
from typing import Any

from triad_ml.pipelines.preprocessing import dataset, ending, staging
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.runtime import summary
from triad_ml.pipelines.sources import units
from triad_ml.pipelines.sources.files import InputFile
from triad_ml.pipelines.storage import atomic, json_files, outputs
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.media import sound_library, uris
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.version import VERSION

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class PreprocessPlan:
    """Plan of one preprocessing.

    Attributes:
        what: Spec of the preprocessing.
        inputs: Records files as they are when the preprocessing is planned.
        output: Path of the output folder.
        key: Hash of all that decides the result; equal keys mean equal results.
        done: True if the output already holds this preprocessing, so that nothing is to be done.
    """

    what: Spec
    inputs: tuple[InputFile, ...]
    output: str
    key: str
    done: bool

    @property
    def manifest(self) -> str:
        """Path of the manifest."""
        return f"{self.output}/{dataset.MANIFEST}"


def plan(config: PreprocessConfig) -> PreprocessPlan:
    """Plans a preprocessing, without TensorFlow.

    If the output already holds it, the manifest takes over the spec's sections on the model and its
    training.

    Raises:
        OptionsError: The spec, an input or the output cannot be used.
    """
    spec = loading.load(config.spec)
    inputs = units.list_inputs(config.inputs)
    key = _key(spec, inputs, config)
    output = staging.named(config.output)
    manifest_path = f"{output}/{dataset.MANIFEST}"
    done = atomic.exists(manifest_path)
    if done:
        manifest = dataset.parse(atomic.read_bytes(manifest_path), output)
        if manifest["key"] != key:
            raise OptionsError(f"{output}: holds another preprocessing; choose another --output")
        _log.info("%s: already preprocessed from these records, nothing to do", output)
        _take_over(spec, manifest, manifest_path)
        summary.say(_log, ending.sentences(manifest, config.output))
    else:
        _check_librosa(spec)
        outputs.check_folder(output, "preprocess", lambda: False, bare=True)
    return PreprocessPlan(spec, inputs, output, key, done)


def _check_librosa(spec: Spec) -> None:
    """Raises OptionsError if the spec needs librosa, and it is not installed."""
    if spec.needs_librosa and importlib.util.find_spec("librosa") is None:
        raise OptionsError(sound_library.missing())


def _take_over(spec: Spec, manifest: dict[str, Any], path: str) -> None:
    """Updates the manifest if the spec's sections on the model and its training changed."""
    parts = spec_parts(spec)
    if all(manifest.get(name) == part for name, part in parts.items()):
        return
    json_files.write(path, {**manifest, **parts})
    _log.info("%s: takes over the spec's settings of the model and its training", path)


def spec_parts(spec: Spec) -> dict[str, Any]:
    """Returns the manifest's entries on the spec."""
    return {"spec": json.loads(spec.to_json()), "spec_digest": spec.digest()}


def _key(spec: Spec, inputs: Sequence[InputFile], config: PreprocessConfig) -> str:
    """Hashes all that decides the result: records, media folders, features, splits and version."""
    parts: dict[str, Any] = {
        "features": spec.features_json(),
        "split": spec.split.model_dump(),
        "inputs": [[file.uri, file.size, file.version] for file in inputs],
        "shards": config.shards,
        "triad": VERSION,
    }
    if spec.training.copies:
        parts["copies"] = {"changes": spec.training.copies, "seed": spec.training.seed}
    if config.media_roots:
        parts["media_roots"] = uris.resolved(config.media_roots)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
