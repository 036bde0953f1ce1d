"""Recipes of a training: their choice by folds of the training split, or by the eval split."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn.model_selection import GroupKFold

from triad_ml.model import stages
from triad_ml.model.data import datasets, scan
from triad_ml.model.data.batches import Batch
from triad_ml.model.layout import Layout
from triad_ml.model.linear import blocks as linear_blocks
from triad_ml.model.linear import floor
from triad_ml.model.linear.blocks import Blocks
from triad_ml.model.linear.subsets import Subsets
from triad_ml.model.network import Networks
from triad_ml.model.recipe.choice import Evidence
from triad_ml.model.tasks.heads import heads_of
from triad_ml.model.training import loop
from triad_ml.pipelines.preprocessing.dataset import BATCH_SIZE
from triad_ml.transforms.spec.model import BEST

FOLDS = 2
"""Folds of the training split. Each network learns from the others, so with two folds they cost
about as much as the network of all records."""

MANY_FOLDS = 5
"""Folds of `preset: best`, whose networks are averaged; they cost about four times as much. `FOLDS`
take their place where a fold would lack labels."""

MOST_RECORDS = 3000
"""Training records up to which folds are trained; more are compared on the eval split."""

LEAST_GROUPS = 10
"""Groups of training records from which folds are trained."""

FOLDER = "folds"
"""Name of the folder of the folds' trainings."""

_log = logging.getLogger(__name__)


class Folds(NamedTuple):
    """Result of the trainings of all folds.

    Attributes:
        evidence: By task with linear models, predictions of the records.
        networks: The network of each fold, if they are averaged; otherwise empty.
    """

    evidence: Mapping[str, Evidence]
    networks: Sequence[Networks]


def by_folds(
    train: scan.Survey,
    blocks: Blocks,
    layout: Layout,
    evaluated: Sequence[str],
    folder: Path,
    digest: str,
) -> Folds | None:
    """Predicts each training record by models that learned from other groups; resumes.

    Args:
        train: The training split.
        blocks: Its records as linear models read them.
        layout: Layout of the files.
        evaluated: Files of the eval split, which chooses the networks' best epochs.
        folder: Folder of the trainings.
        digest: Digest of the files' content.

    Returns:
        None if there are too many records, or too few groups or labels.
    """
    if train.records is None or train.num_records > MOST_RECORDS:
        return None
    if len(np.unique(blocks.groups)) < LEAST_GROUPS:
        return None
    best = layout.spec.model.preset == BEST
    own = folder / FOLDER
    for count in (MANY_FOLDS, FOLDS) if best else (FOLDS,):
        folds = list(GroupKFold(count).split(blocks.groups, groups=blocks.groups))
        parts = [
            _written(own / f"part-{number}.tfrecord.gz", train.records, test)
            for number, (_, test) in enumerate(folds)
        ]
        surveys = [scan.survey([part], layout) for part in parts]
        if all(all(survey.labelled.values()) for survey in surveys):
            break
    else:
        return None
    networks: list[Networks] = []
    network: dict[str, npt.NDArray[np.float32]] = {}
    linear: dict[str, npt.NDArray[np.float32]] = {}
    counted: dict[str, npt.NDArray[np.bool_]] = {}
    for number, (learned, test) in enumerate(folds):
        _log.info("choice of a recipe: fold %d of %d", number + 1, count)
        others = [part for place, part in enumerate(parts) if place != number]
        files = {"train": others, "eval": evaluated}
        keras.utils.clear_session()
        trained = loop.train(files, layout, own / str(number), f"{digest} fold {number}")
        if best:
            networks.append(trained.networks)
        with stages.showing(stages.Stage("linear models of the fold")):
            rows = blocks.rows(learned)
            simple = floor.completed(rows, floor.of_blocks(rows, layout), layout)
        said = _said(trained.model, surveys[number], layout, [*simple])
        held_out = blocks.rows(test)
        for task, models in simple.items():
            counted.setdefault(task, np.zeros(len(blocks.groups), bool))
            labels = held_out.labels[task]
            counted[task][test] = models.solver.learned(labels, rows.labels[task])
            found = models.predict(held_out)
            for whole, one in ((network, said[task]), (linear, found)):
                whole.setdefault(task, np.zeros((len(blocks.groups), *one.shape[1:]), np.float32))
                whole[task][test] = one
    keras.utils.clear_session()
    measured = f"{count} folds of the training split"
    evidence = {
        task: Evidence(measured, blocks.labels[task], counted[task], network[task], linear[task])
        for task in network
    }
    return Folds(evidence, networks)


def by_eval(
    model: keras.Model, linear: Mapping[str, Subsets], survey: scan.Survey, layout: Layout
) -> dict[str, Evidence]:
    """Predicts the records of the eval split by the network and by linear models.

    Args:
        model: Network of the training split.
        linear: By task, linear models of the training split.
        survey: The eval split.
        layout: Layout of the files.
    """
    if not survey.num_records:
        return {}
    files = survey.unchanged_files()
    blocks = linear_blocks.read(files, layout, list(linear), survey.records)
    said = _said(model, survey, layout, [*linear])
    return {
        task: Evidence(
            "the eval split",
            blocks.labels[task],
            models.solver.labelled(blocks.labels[task]),
            said[task],
            models.predict(blocks),
        )
        for task, models in linear.items()
    }


def _said(
    model: keras.Model, survey: scan.Survey, layout: Layout, tasks: Sequence[str]
) -> dict[str, npt.NDArray[np.float32]]:
    """Predicts tasks; others, which may take long to predict, are left out."""
    heads = {task: heads_of(layout.spec, layout.classes)[task] for task in tasks}

    @tf.function(autograph=False)
    def call(batch: Batch) -> dict[str, tf.Tensor]:
        outputs = dict(model(batch.features, training=False))
        return {
            task: head.predicted(outputs[task], batch.features, batch.texts, model)
            for task, head in heads.items()
        }

    parts: dict[str, list[tuple[npt.NDArray[np.float32], ...]]] = {task: [] for task in heads}
    files = survey.unchanged_files()
    for batch in datasets.eval_dataset(files, layout, BATCH_SIZE, survey.records):
        real = batch.ids.numpy() != b""
        for task, arrays in call(batch).items():
            parts[task].append(tuple(array.numpy()[real] for array in arrays))
    return {
        task: head.gathered(tuple(map(np.concatenate, zip(*parts[task], strict=True))))
        for task, head in heads.items()
    }


def _written(path: Path, records: tf.Tensor, chosen: npt.NDArray[np.int64]) -> str:
    """Writes some records to a file of training features."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for record in tf.gather(records, chosen).numpy():
            writer.write(record)
    return str(path)
