"""Training: features -> fused model -> SavedModel, with its evaluation beside it."""

import datetime
import hashlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from model import artefact, data, evaluation, export, predictions, training
from pipelines import environment, json_files, preprocessed
from pipelines.config import TrainConfig
from pipelines.preprocessed import BATCH_SIZE, Preprocessed
from transforms import code
from transforms.errors import OptionsError
from transforms.spec import Spec
from transforms.version import VERSION

_EVALUATED = ("eval", "test")
_TRAINING = "training"
_log = logging.getLogger(__name__)


def run(config: TrainConfig) -> Path:
    """Trains on a preprocessing and writes a model folder; goes on where it was interrupted.

    Returns:
        `triad.json` of the model, which is written last.

    Raises:
        OptionsError: Data or an output that cannot be used.
    """
    prepared = preprocessed.read(config.data)
    what = _spec(prepared.spec, config)
    layout = data.Layout(what, prepared.classes, prepared.vocabulary_size)
    output = Path(config.output)
    about_path = output / artefact.ABOUT
    key = _key(what, prepared)
    if config.fresh:
        _remove(output)
    if about_path.is_file():
        if artefact.load(output).about["key"] == key:
            _log.info("%s: already trained on this preprocessing, nothing to do", output)
            return about_path
        raise OptionsError(
            f"{output}: holds another model; choose another --output, or give --fresh to replace it"
        )
    output.mkdir(parents=True, exist_ok=True)
    files = {split: prepared.files(split) for split in ("train", "eval", "test")}
    result = training.train(files, layout, output / _TRAINING, prepared.manifest["key"])
    evaluated = _evaluate(result.model, files, layout)
    _export(result, layout, prepared, output)
    json_files.write(output / artefact.EVALUATION, evaluated)
    json_files.write(about_path, _about(what, prepared, output, key, result, evaluated))
    shutil.rmtree(output / _TRAINING)
    _log.info("%s: best epoch %d of %d", output, result.best_epoch, len(result.history))
    return about_path


def _spec(what: Spec, config: TrainConfig) -> Spec:
    """The spec with the command line's settings in it."""
    given = {name: getattr(config, name) for name in ("epochs", "seed", "batch_size")}
    update = {name: value for name, value in given.items() if value is not None}
    changed = what.training.model_copy(update=update)
    return what.model_copy(update={"training": changed})


def _key(what: Spec, prepared: Preprocessed) -> str:
    """Equal keys mean the same training."""
    parts = [
        what.to_json(),
        prepared.manifest["key"],
        prepared.manifest["transform_digest"],
        VERSION,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _remove(output: Path) -> None:
    """Removes what a training wrote, and nothing else."""
    (output / artefact.ABOUT).unlink(missing_ok=True)
    for folder in (artefact.SAVED_MODEL, _TRAINING):
        shutil.rmtree(output / folder, ignore_errors=True)


def _evaluate(
    model: keras.Model, files: dict[str, list[str]], layout: data.Layout
) -> dict[str, Any]:
    """Metrics of the splits that training did not learn from, by task and modality subset."""
    splits = {}
    for split in _EVALUATED:
        if not files[split]:
            continue
        dataset = data.eval_dataset(files[split], layout, BATCH_SIZE)
        recorded = predictions.predict(model, dataset)
        complete = np.concatenate([_complete(batch, layout) for batch in dataset])
        subsets = {
            subset: predictions.predict(model, dataset, [n for n, seen in mask.items() if not seen])
            for subset, mask in evaluation.masks(layout.spec.modalities.names).items()
        }
        splits[split] = {
            name: evaluation.evaluate_task(
                task,
                layout.classes[name],
                recorded.labels[name],
                recorded.probabilities[name],
                {subset: one.probabilities[name] for subset, one in subsets.items()},
                complete,
                seed=layout.spec.training.seed,
            )
            for name, task in layout.spec.tasks.items()
        }
    return evaluation.document(splits)


def _complete(batch: data.Batch, layout: data.Layout) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which real records of a batch have every modality."""
    names = layout.spec.modalities.names
    present = np.all([batch.features[f"{name}_present"].numpy() for name in names], axis=0)
    real = batch.ids.numpy() != b""
    return np.asarray(present[real])


def _export(
    result: training.TrainResult, layout: data.Layout, prepared: Preprocessed, output: Path
) -> None:
    saved_model = output / artefact.SAVED_MODEL
    staging = output / f"{artefact.SAVED_MODEL}.tmp"
    for left in (saved_model, staging):
        shutil.rmtree(left, ignore_errors=True)
    export.save(result.model, prepared.folder / preprocessed.TRANSFORM, layout, staging)
    staging.rename(saved_model)
    shutil.copy(prepared.folder / preprocessed.ANALYSIS, output / artefact.ANALYSIS)
    shutil.copy(prepared.folder / preprocessed.MANIFEST, output / artefact.DATA_MANIFEST)
    shutil.copy(output / _TRAINING / training.HISTORY, output / artefact.HISTORY)


def _about(
    what: Spec,
    prepared: Preprocessed,
    output: Path,
    key: str,
    result: training.TrainResult,
    evaluated: dict[str, Any],
) -> dict[str, Any]:
    files = artefact.file_digests(output)
    return {
        "triad": VERSION,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "key": key,
        "spec": json.loads(what.to_json()),
        "classes": prepared.classes,
        "vocabulary_size": prepared.vocabulary_size,
        "batch_size": BATCH_SIZE,
        "digests": {
            "model": artefact.model_digest(files, BATCH_SIZE),
            "transform": prepared.manifest["transform_digest"],
            "spec": what.digest(),
            "code": code.code_digest(),
        },
        "files": files,
        "versions": environment.versions(),
        "training": {
            "epochs": len(result.history),
            "best_epoch": result.best_epoch,
            "steps": result.steps,
        },
        "metrics": {
            split: {
                task: {
                    name: metrics[evaluation.AS_RECORDED][name]["value"]
                    for name in ("accuracy", "macro_f1")
                }
                for task, metrics in document["tasks"].items()
            }
            for split, document in evaluated["splits"].items()
        },
    }
