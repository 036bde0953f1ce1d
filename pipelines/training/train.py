"""Training run: feature shards -> trained Keras model -> SavedModel and evaluation."""

import contextlib
import dataclasses
import datetime
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np

from triad_ml.model import layout as model_layout
from triad_ml.model import stages
from triad_ml.model.data import batches, scan
from triad_ml.model.data import datasets as data_datasets
from triad_ml.model.evaluation import document as evaluation_document
from triad_ml.model.evaluation import predict
from triad_ml.model.linear import floor
from triad_ml.model.linear.floor import Floor
from triad_ml.model.serving import bundle, export
from triad_ml.model.tasks.heads import heads_of
from triad_ml.model.training import loop
from triad_ml.pipelines.preprocessing import dataset as preprocessing_dataset
from triad_ml.pipelines.preprocessing.dataset import BATCH_SIZE, Preprocessed
from triad_ml.pipelines.runtime import environment, summary
from triad_ml.pipelines.storage import json_files, outputs
from triad_ml.pipelines.training import calibration, ending, learning, model_card, recipes
from triad_ml.pipelines.training.calibration import Scaled
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.pipelines.training.learning import Learned
from triad_ml.pipelines.training.plan import TRAINING, TrainPlan
from triad_ml.pipelines.training.tracking.tensorboard import Events
from triad_ml.transforms import hashing
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.spec.training import DATASET_FEATURE
from triad_ml.transforms.version import VERSION

Thresholds: TypeAlias = Mapping[str, tuple[float, ...]]
"""By task, the lowest probability of each class in a predicted set; see `TaskHead.thresholds`."""

_EVALUATED = ("eval", "test")
_log = logging.getLogger(__name__)


def run(config: TrainConfig, plan: TrainPlan) -> Path:
    """Trains on prepared data and writes a model folder; resumes an interrupted training.

    Args:
        config: Settings of the training.
        plan: Plan for these settings, which is not done.

    Returns:
        Path of the model's `triad.json`, which is written last.

    Raises:
        GateError: If parts of the data come from two preprocessing runs.
    """
    prepared, spec, output = plan.prepared, plan.what, plan.output
    prepared.check_files()
    layout = model_layout.Layout(spec, prepared.classes, prepared.vocabulary_size)
    outputs.mark(str(output / TRAINING), "train")  # first, so that the folder is known as ours
    if config.fresh:
        _remove(output)
    files = {split: prepared.files(split) for split in ("train", "eval", "test")}
    known = {path: scan.Shard(*shard) for path, shard in prepared.shards.items()}
    with stages.showing(stages.Stage("check of the test split")):
        scan.survey(files["test"], layout, known, budget=0)  # before training, not hours later
    with contextlib.ExitStack() as opened:
        followed = None
        if config.tensorboard is not None:
            followed = opened.enter_context(Events(config.tensorboard)).epoch
        key = prepared.manifest["key"]
        found = learning.learn(files, layout, output / TRAINING, key, known, followed)
    layout = found.layout
    surveys = {split: scan.survey(files[split], layout, known) for split in _EVALUATED}
    calibrated = calibration.calibrated(found.networks, surveys, layout)
    found = dataclasses.replace(found, networks=calibrated.networks)
    model = found.networks.scoring
    thresholds = _thresholds(model, surveys["eval"], layout)
    with stages.showing(stages.counting("evaluation", _to_evaluate(surveys, spec))):
        splits = _evaluate(model, found.floor, surveys, layout, thresholds, calibrated.tasks)
    chosen = {task: dataclasses.asdict(one) for task, one in found.recipes.items()}
    evaluated = evaluation_document.document(splits, chosen)
    with stages.showing(stages.Stage("export of the model")):
        _export(found, prepared, output, thresholds)
    json_files.write(output / bundle.EVALUATION, evaluated)
    about = _about(plan, found, evaluated, thresholds)
    card = model_card.text(about, prepared.manifest, evaluated)
    (output / bundle.MODEL_CARD).write_text(card, encoding="utf-8")
    json_files.write(plan.about, about)
    shutil.rmtree(output / TRAINING)
    if found.network is not None:
        best, epochs = found.network.best_epoch, len(found.network.history)
        _log.info("%s: best epoch %d of %d", output, best, epochs)
    summary.say(_log, ending.sentences(evaluated, config.output))
    return plan.about


def _remove(output: Path) -> None:
    """Removes the files that a training wrote, and no others."""
    (output / bundle.ABOUT).unlink(missing_ok=True)
    names = (loop.CHECKPOINTS, loop.GENERATED, recipes.FOLDER)
    own = (output / TRAINING / name for name in names)
    for folder in (output / bundle.SAVED_MODEL, *own):
        shutil.rmtree(folder, ignore_errors=True)
    (output / TRAINING / loop.HISTORY).unlink(missing_ok=True)


def _to_evaluate(surveys: Mapping[str, scan.Survey], spec: Spec) -> int:
    """Returns the number of predictions: each record as recorded and in each modality subset."""
    passes = 1 + len(evaluation_document.masks(spec.modalities.names))
    return passes * sum(survey.num_records for survey in surveys.values() if survey.files)


def _thresholds(model: keras.Model, survey: scan.Survey, layout: model_layout.Layout) -> Thresholds:
    """Chooses the thresholds of the tasks that ask for them, on the eval split."""
    heads = heads_of(layout.spec, layout.classes)
    wanted = [name for name, task in layout.spec.tasks.items() if task.thresholds is not None]
    if not wanted:
        return {}
    if not survey.num_records:
        _log.warning("thresholds of %s are 0.5: the eval split is empty", ", ".join(wanted))
        return {}
    with stages.showing(stages.Stage("choice of thresholds")):
        files = survey.unchanged_files()
        dataset = data_datasets.eval_dataset(files, layout, BATCH_SIZE, survey.records)
        found = predict.predict(model, dataset, layout, tasks=wanted)
    best = {
        name: heads[name].best_thresholds(found.labels[name], found.said[name]) for name in wanted
    }
    return {name: one for name, one in best.items() if one is not None}


def _evaluate(
    model: keras.Model,
    linear: Floor,
    surveys: Mapping[str, scan.Survey],
    layout: model_layout.Layout,
    thresholds: Thresholds,
    scaled: Mapping[str, Scaled],
) -> dict[str, Any]:
    """Evaluates the eval and test splits, by task and subset of modalities."""
    splits = {}
    for split, survey in surveys.items():
        if not survey.files:
            continue
        files = survey.unchanged_files()
        dataset = data_datasets.eval_dataset(files, layout, BATCH_SIZE, survey.records)
        recorded = predict.predict(model, dataset, layout)
        datasets = _datasets(survey, recorded.ids)
        simple = floor.predicted(linear, survey, layout)
        complete = np.concatenate([_complete(batch, layout) for batch in dataset])
        subsets = {
            subset: predict.predict(
                model, dataset, layout, [n for n, seen in mask.items() if not seen]
            )
            for subset, mask in evaluation_document.masks(layout.spec.modalities.names).items()
        }
        splits[split] = {
            name: evaluation_document.evaluate_task(
                task,
                layout.classes[name],
                recorded.labels[name],
                recorded.said[name],
                {subset: predictions.said[name] for subset, predictions in subsets.items()},
                complete,
                seed=layout.spec.training.seed,
                datasets=datasets,
                linear=simple.get(name),
                thresholds=thresholds.get(name),
                temperature=scaled[name].of(split) if name in scaled else None,
            )
            for name, task in layout.spec.tasks.items()
        }
    return splits


def _datasets(survey: scan.Survey, ids: Sequence[str]) -> list[str] | None:
    """Returns the data set of each record; None if the spec has no mixture."""
    if DATASET_FEATURE not in survey.sampled:
        return None
    names = dict(zip(survey.sampled["id"], survey.sampled[DATASET_FEATURE], strict=True))
    return [names[record_id.encode()].decode() for record_id in ids]


def _complete(
    batch: batches.Batch, layout: model_layout.Layout
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Returns for each real (not padding) record of a batch if it has every modality, as bools."""
    names = layout.spec.modalities.names
    present = np.all([batch.features[f"{name}_present"].numpy() for name in names], axis=0)
    real = batch.ids.numpy() != b""
    return np.asarray(present[real])


def _export(
    found: Learned,
    prepared: Preprocessed,
    output: Path,
    thresholds: Thresholds,
) -> None:
    saved_model = output / bundle.SAVED_MODEL
    staging = output / f"{bundle.SAVED_MODEL}.tmp"
    for left in (saved_model, staging):
        shutil.rmtree(left, ignore_errors=True)
    digest = prepared.manifest["transform_digest"]
    export.save(
        found.networks,
        prepared.transform,
        prepared.transform_files,
        found.layout,
        staging,
        digest,
        thresholds,
    )
    staging.rename(saved_model)
    (output / bundle.ANALYSIS).write_bytes(prepared.analysis())
    shutil.copy(prepared.folder / preprocessing_dataset.MANIFEST, output / bundle.DATA_MANIFEST)
    (output / bundle.HISTORY).unlink(missing_ok=True)
    if found.network is not None:
        shutil.copy(output / TRAINING / loop.HISTORY, output / bundle.HISTORY)


def _encoder_digests(spec: Spec) -> dict[str, str]:
    """Returns the digests of pretrained encoders' initial weights; empty without an encoder."""
    pinned = {
        "encoder": spec.model.image_weights_sha256,
        "audio_encoder": spec.model.audio_weights_sha256,
        "text_encoder": spec.model.text_weights_sha256,
    }
    return {name: digest for name, digest in pinned.items() if digest is not None}


def _about(
    plan: TrainPlan,
    found: Learned,
    evaluated: dict[str, Any],
    thresholds: Thresholds,
) -> dict[str, Any]:
    prepared, spec = plan.prepared, plan.what
    network = found.network
    shares = {task: one.share for task, one in found.recipes.items()}
    files = bundle.file_digests(plan.output)
    return {
        "triad": VERSION,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "key": plan.key,
        "spec": json.loads(spec.to_json()),
        "classes": prepared.classes,
        "vocabulary_size": prepared.vocabulary_size,
        "batch_size": BATCH_SIZE,
        **({"thresholds": thresholds} if thresholds else {}),
        **({"recipes": shares} if shares else {}),
        "digests": {
            "model": bundle.model_digest(files, BATCH_SIZE),
            "transform": prepared.manifest["transform_digest"],
            "spec": spec.digest(),
            "code": hashing.code_digest(),
            **_encoder_digests(spec),
        },
        "data": {name: prepared.manifest[name] for name in ("key", "digests", "inputs")},
        "files": files,
        "told": bundle.told_digests(plan.output),
        "versions": environment.versions(),
        "training": {
            "epochs": len(network.history) if network is not None else 0,
            "best_epoch": network.best_epoch if network is not None else 0,
            "steps": network.steps if network is not None else 0,
        },
        "metrics": {
            split: {
                task: {
                    name: metrics[evaluation_document.AS_RECORDED][name]["value"]
                    for name in evaluation_document.MAIN_FIGURES
                    if name in metrics[evaluation_document.AS_RECORDED]
                }
                for task, metrics in document["tasks"].items()
            }
            for split, document in evaluated["splits"].items()
        },
    }
