"""Generated records of rare classes as a training file, which training reads like the others."""

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from triad_ml.model.data import datasets
from triad_ml.model.data.scan import Shard, Survey
from triad_ml.model.layout import Layout
from triad_ml.model.tasks.base import FeatureDescription, TaskHead
from triad_ml.model.tasks.heads import heads_of
from triad_ml.model.towers.registry import TOWERS
from triad_ml.model.training.generated import vectors as generated_vectors
from triad_ml.model.training.generated.gan import Ids
from triad_ml.model.training.generated.vectors import Generated, Vectors
from triad_ml.transforms.errors import StorageError
from triad_ml.transforms.features.ids import MISSING_LABEL
from triad_ml.transforms.hashing import file_digest
from triad_ml.transforms.spec.tasks import GENERATED

FOLDER = "generated"
"""Folder of generated records and of the GAN's checkpoints in the output folder of a training."""

MOST_VECTORS = 20_000
"""Largest number of vectors that are read, about equally many of each class."""

_BATCH = 256

_log = logging.getLogger(__name__)


class Taken(NamedTuple):
    """Vectors of a task's classes in a split.

    Attributes:
        vectors: float32 `[rows, width]`.
        ids: Classes of the vectors, int64 `[rows]`.
        templates: By class, its first record, serialized.
    """

    vectors: Vectors
    ids: Ids
    templates: Mapping[int, bytes]


def added(split: Survey, layout: Layout, output: Path) -> dict[str, Shard]:
    """Writes the generated records of the tasks that ask for them.

    A generated record has one medium, the vector of a frozen encoder, and one label. The files are
    a function of the split and the seed, and written anew by each call.

    Args:
        split: Training split.
        layout: Layout of the files.
        output: Output folder of the training.

    Returns:
        By path, number of records and digest of each file; empty if no task asks for any.

    Raises:
        StorageError: If a file cannot be written.
    """
    files: dict[str, Shard] = {}
    heads = heads_of(layout.spec, layout.classes)
    for task, head in heads.items():
        method = head.task.imbalance
        for modality in _encoded(layout) if method in GENERATED else ():
            taken = _taken(split, layout, modality, head)
            if not len(taken.vectors):
                continue
            folder = output / FOLDER / f"{task}-{modality}"
            made = generated_vectors.generated(
                method,
                taken.vectors,
                taken.ids,
                len(layout.classes[task]),
                layout.spec.training.seed,
                folder,
            )
            _log.info(
                "%s: %d vectors of rare classes by %s; %d copies thrown away",
                *(task, len(made.ids), method, made.copies),
            )
            if len(made.ids):
                # A name that sorts behind those of preprocessing.
                path = output / FOLDER / f"records-{task}-{modality}.tfrecord.gz"
                others = [one for name, one in heads.items() if name != task]
                _write(path, made, taken, modality, layout, others)
                files[str(path)] = Shard(len(made.ids), file_digest(path))
    return files


def _encoded(layout: Layout) -> tuple[str, ...]:
    """Lists the modalities whose feature is the vector of a frozen encoder."""
    names = layout.spec.modalities.names
    return tuple(name for name in names if TOWERS[name].vector_width(layout) is not None)


def _taken(split: Survey, layout: Layout, modality: str, head: TaskHead) -> Taken:
    """Reads the vectors of labelled records that have the modality, in the order of the files."""
    number, width = len(head.classes), TOWERS[modality].vector_width(layout)
    most = max(generated_vectors.LEAST, MOST_VECTORS // number)
    description: FeatureDescription = {
        **TOWERS[modality].columns(layout),
        f"{modality}_present": tf.io.FixedLenFeature([], tf.int64),
        **head.label_features(),
    }
    counts = np.zeros(number, np.int64)
    rows: list[Vectors] = [np.zeros((0, width or 0), np.float32)]
    ids: list[int] = []
    templates: dict[int, bytes] = {}
    for serialized in _serialized(split):
        columns = tf.io.parse_example(serialized, description)
        present = columns[f"{modality}_present"].numpy() > 0
        labels = head.labels(columns).numpy()
        chosen = []
        for place in np.flatnonzero(present & (labels >= 0) & (labels < number)):
            one = int(labels[place])
            if counts[one] < most:
                counts[one] += 1
                ids.append(one)
                chosen.append(place)
                templates.setdefault(one, bytes(serialized[place].numpy()))
        rows.append(columns[modality].numpy()[chosen])
    return Taken(np.concatenate(rows), np.array(ids, np.int64), templates)


def _serialized(split: Survey) -> Iterator[tf.Tensor]:
    files = split.unchanged_files()
    if split.records is not None:
        yield from tf.data.Dataset.from_tensor_slices(split.records).batch(_BATCH)
    elif files:
        yield from datasets.records_of(files).batch(_BATCH)


def _write(
    path: Path,
    made: Generated,
    taken: Taken,
    modality: str,
    layout: Layout,
    others: list[TaskHead],
) -> None:
    temporary = path.with_name(f".{path.name}.writing")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tf.io.TFRecordWriter(str(temporary), "GZIP") as writer:
            for place, (vector, one) in enumerate(zip(made.vectors, made.ids, strict=True)):
                example = tf.train.Example.FromString(taken.templates[int(one)])
                features = example.features.feature
                features["id"].bytes_list.value[:] = [f"generated-{place:06d}".encode()]
                features[modality].float_list.value[:] = vector.tolist()
                for name in layout.spec.modalities.names:
                    # The content of a modality that is not present has no effect.
                    features[f"{name}_present"].int64_list.value[:] = [int(name == modality)]
                for head in others:
                    _forget(features, head)
                writer.write(example.SerializeToString(deterministic=True))
        os.replace(temporary, path)
    except (OSError, tf.errors.OpError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise StorageError(
            f"{path}: cannot be written: {why}; make room or permit writing"
        ) from error


def _forget(features: Mapping[str, tf.train.Feature], head: TaskHead) -> None:
    """Marks the label of a task as missing."""
    for name, column in head.label_features().items():
        feature = features[name]
        shape = getattr(column, "shape", [])  # a ragged column has none, and one value is enough
        values = [MISSING_LABEL] * int(np.prod(shape))
        if column.dtype == tf.float32:
            feature.float_list.value[:] = map(float, values)
        else:
            feature.int64_list.value[:] = values
