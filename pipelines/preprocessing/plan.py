"""What a preprocessing is, known before anything heavy is imported: its spec, inputs and key."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Sequence
from typing import Any

from triad_ml.pipelines.preprocessing import dataset, ending, staging
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.runtime import summary
from triad_ml.pipelines.sources import units
from triad_ml.pipelines.storage import atomic, json_files, outputs
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.media import uris
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.version import VERSION

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class PreprocessPlan:
    """One preprocessing.

    Attributes:
        what: The spec.
        inputs: The records files as they are now.
        output: The folder that it becomes.
        key: Equal keys mean equal results.
        done: Whether it is there, so that there is nothing left to do.
    """

    what: Spec
    inputs: tuple[units.InputFile, ...]
    output: str
    key: str
    done: bool

    @property
    def manifest(self) -> str:
        """The manifest's path."""
        return f"{self.output}/{dataset.MANIFEST}"


def plan(config: PreprocessConfig) -> PreprocessPlan:
    """Plans a preprocessing, without TensorFlow; one that is there takes over the spec.

    Raises:
        OptionsError: A spec, input or output that cannot be used.
    """
    what = loading.load(config.spec)
    inputs = units.list_inputs(config.inputs)
    key = _key(what, inputs, config)
    output = staging.named(config.output)
    manifest_path = f"{output}/{dataset.MANIFEST}"
    done = atomic.exists(manifest_path)
    if done:
        manifest = dataset.parse(atomic.read_bytes(manifest_path), output)
        if manifest["key"] != key:
            raise OptionsError(f"{output}: holds another preprocessing; choose another --output")
        _log.info("%s: already preprocessed from these records, nothing to do", output)
        _take_over(what, manifest, manifest_path)
        summary.say(_log, ending.sentences(manifest, config.output))
    else:
        outputs.check_folder(output, "preprocess", lambda: False, bare=True)
    return PreprocessPlan(what, inputs, output, key, done)


def _take_over(what: Spec, manifest: dict[str, Any], path: str) -> None:
    """Lets the manifest say what the spec now says of the model and its training."""
    parts = spec_parts(what)
    if all(manifest.get(name) == part for name, part in parts.items()):
        return
    json_files.write(path, {**manifest, **parts})
    _log.info("%s: takes over the spec's settings of the model and its training", path)


def spec_parts(what: Spec) -> dict[str, Any]:
    """What a manifest says of the spec."""
    return {"spec": json.loads(what.to_json()), "spec_digest": what.digest()}


def _key(what: Spec, inputs: Sequence[units.InputFile], config: PreprocessConfig) -> str:
    """Equal keys mean equal results: the same records, media folders, features, splits and code."""
    parts: dict[str, Any] = {
        "features": what.features_json(),
        "split": what.split.model_dump(),
        "inputs": [[file.uri, file.size, file.version] for file in inputs],
        "shards": config.shards,
        "triad": VERSION,
    }
    if config.media_roots:
        parts["media_roots"] = uris.resolved(config.media_roots)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
