"""What a training is, known before anything heavy is imported: its data, settings and key."""

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
"""The folder in a model folder of what only its training needs."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrainPlan:
    """One training.

    Attributes:
        prepared: The preprocessing that it learns from.
        what: The spec with the command line's settings in it.
        output: The model folder.
        key: Equal keys mean the same training.
        done: Whether its model is there, so that there is nothing left to do.
    """

    prepared: Preprocessed
    what: Spec
    output: Path
    key: str
    done: bool

    @property
    def about(self) -> Path:
        """The path of the model's `triad.json`."""
        return self.output / bundle.ABOUT


def plan(config: TrainConfig) -> TrainPlan:
    """Plans a training, without TensorFlow.

    Raises:
        OptionsError: Data or an output that cannot be used.
        GateError: A finished model whose files are not the exported ones.
    """
    prepared = dataset.read(config.data)
    what = _spec(prepared.spec, config)
    output = Path(config.output)
    key = _key(what, prepared)
    there = (output / bundle.ABOUT).is_file()
    outputs.check_folder(
        str(output), "train", lambda: there or outputs.is_marked(f"{output}/{TRAINING}", "train")
    )
    done = there and not config.fresh
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
    return TrainPlan(prepared, what, output, key, done)


def _spec(what: Spec, config: TrainConfig) -> Spec:
    """The spec with the command line's settings in it.

    Raises:
        OptionsError: Where another spec is given whose features are not the prepared ones.
    """
    if config.spec is not None:
        what = _other(what, config.spec)
    given = {name: getattr(config, name) for name in ("epochs", "seed", "batch_size")}
    update = {name: value for name, value in given.items() if value is not None}
    changed = what.training.model_copy(update=update)
    return what.model_copy(update={"training": changed})


def _other(what: Spec, path: str) -> Spec:
    """The spec of a file, which must differ from the prepared one in what training reads alone."""
    other = loading.load(path)
    if other.features_json() != what.features_json() or other.split != what.split:
        raise OptionsError(
            f"--spec: {path}: its features or its split are not the prepared ones; change model, "
            "training and the tasks' weight and imbalance only, or prepare again"
        )
    return other


def _key(what: Spec, prepared: Preprocessed) -> str:
    """Equal keys mean the same training."""
    parts = [
        what.digest(),
        prepared.manifest["key"],
        prepared.manifest["transform_digest"],
        VERSION,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
