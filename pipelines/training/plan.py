"""Plan of a training: its data, settings and key, known before heavy imports."""

import dataclasses
import hashlib
import json
import logging
from pathlib import Path

from triad_ml.model.serving import bundle
from triad_ml.pipelines.preprocessing import dataset
from triad_ml.pipelines.preprocessing.dataset import Preprocessed
from triad_ml.pipelines.runtime import summary
from triad_ml.pipelines.storage import model_store, outputs
from triad_ml.pipelines.training import ending
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.version import VERSION

TRAINING = "training"
"""Name of the folder in a model folder for files that only the training needs."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrainPlan:
    """Plan of one training.

    Attributes:
        prepared: Prepared data on which the model is trained.
        what: Spec, with the command line's settings applied.
        output: Path of the model folder.
        key: Digest of spec, data and version; equal keys mean the same training.
        done: True if its model exists, so that nothing is left to do.
    """

    prepared: Preprocessed
    what: Spec
    output: Path
    key: str
    done: bool

    @property
    def about(self) -> Path:
        """Path of the model's `triad.json`."""
        return self.output / bundle.ABOUT


def plan(config: TrainConfig) -> TrainPlan:
    """Plans a training, without TensorFlow.

    Raises:
        OptionsError: If the data or the output cannot be used.
        GateError: If a finished model's files are not the exported ones.
    """
    prepared = dataset.read(config.data)
    spec = _spec(prepared.spec, config)
    output = Path(config.output)
    key = _key(spec, prepared)
    exists = (output / bundle.ABOUT).is_file()
    outputs.check_folder(
        str(output), "train", lambda: exists or outputs.is_marked(f"{output}/{TRAINING}", "train")
    )
    done = exists and not config.fresh
    if done:
        model = model_store.load(str(output), None)
        if model.about.get("key") != key:
            raise OptionsError(
                f"{output}: holds another model; choose another --output (--fresh would replace it)"
            )
        summary.say(
            _log, ending.sentences(json.loads(model.read(bundle.EVALUATION)), config.output)
        )
        _log.info("%s: already trained on this preprocessing, nothing to do", output)
    return TrainPlan(prepared, spec, output, key, done)


def _spec(spec: Spec, config: TrainConfig) -> Spec:
    """Applies the command line's settings to the prepared spec.

    Raises:
        OptionsError: If `--spec` names a spec whose features or split are not the prepared ones.
    """
    if config.spec is not None:
        spec = _other(spec, config.spec)
    settings = {name: getattr(config, name) for name in ("epochs", "seed", "batch_size")}
    update = {name: value for name, value in settings.items() if value is not None}
    changed = spec.training.model_copy(update=update)
    return spec.model_copy(update={"training": changed})


def _other(spec: Spec, path: str) -> Spec:
    """Loads another spec; it may differ from the prepared one only in settings of training."""
    other = loading.load(path)
    if other.features_json() != spec.features_json() or other.split != spec.split:
        raise OptionsError(
            f"--spec: {path}: its features or its split are not the prepared ones; change model, "
            "training and the tasks' weight and imbalance only, or prepare again"
        )
    return other


def _key(spec: Spec, prepared: Preprocessed) -> str:
    """Returns the key of a training; equal keys mean the same training."""
    parts = [
        spec.digest(),
        prepared.manifest["key"],
        prepared.manifest["transform_digest"],
        VERSION,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
