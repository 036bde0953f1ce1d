"""Blocks: the views of all records of a split, one block a modality."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy import sparse

from triad_ml.model.data import datasets
from triad_ml.model.layout import Layout
from triad_ml.model.linear.views import VIEWS, counts
from triad_ml.model.tasks.base import FeatureDescription
from triad_ml.model.tasks.heads import heads_of
from triad_ml.transforms.records.values import GROUP

Block: TypeAlias = npt.NDArray[np.float32] | sparse.csr_matrix

NO_GROUP = -1
"""Number of the group of records that an earlier version of preprocessing wrote."""

_BATCH = 48


@dataclasses.dataclass(frozen=True)
class Blocks:
    """The records of a split as linear models read them.

    Attributes:
        views: By modality, float32 `[records, width]`; n-grams are sparse.
        present: By modality, True where the record has it, bool `[records]`.
        labels: By task; see `batches.Batch`.
        groups: Number of the group that each record is in, or `NO_GROUP`, int64 `[records]`.
    """

    views: Mapping[str, Block]
    present: Mapping[str, npt.NDArray[np.bool_]]
    labels: Mapping[str, npt.NDArray[Any]]
    groups: npt.NDArray[np.int64]

    def rows(self, chosen: npt.NDArray[Any]) -> "Blocks":
        """Selects records, by a mask or by their numbers."""
        return Blocks(
            {name: view[chosen] for name, view in self.views.items()},
            {name: present[chosen] for name, present in self.present.items()},
            {task: labels[chosen] for task, labels in self.labels.items()},
            self.groups[chosen],
        )


def read(
    files: Sequence[str],
    layout: Layout,
    tasks: Sequence[str],
    records: tf.Tensor | None = None,
    every: int = 1,
) -> Blocks:
    """Reads a split, in the order of `datasets.eval_dataset`.

    Args:
        files: TFRecord files of features, gzip, as `scan.survey` checked them.
        layout: Names and sizes.
        tasks: Tasks whose labels are read.
        records: The records of the same files, string `[records]`; None reads them again.
        every: Stride of a sample; 1 takes each record.

    Raises:
        tf.errors.InvalidArgumentError: Where a record lacks what a view reads.
    """
    names = layout.spec.modalities.names
    heads = {task: heads_of(layout.spec, layout.classes)[task] for task in tasks}
    description: FeatureDescription = {GROUP: tf.io.FixedLenFeature([], tf.int64, NO_GROUP)}
    for name in names:
        description |= VIEWS[name].columns(layout)
        description[f"{name}_present"] = tf.io.FixedLenFeature([], tf.int64)
    for head in heads.values():
        description |= head.label_features()

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string)])
    def parsed(serialized: tf.Tensor) -> dict[str, dict[str, tf.Tensor]]:
        columns = tf.io.parse_example(serialized, description)
        return {
            "views": {name: VIEWS[name].vectors(columns, layout) for name in names},
            "present": {name: columns[f"{name}_present"] > 0 for name in names},
            "labels": {task: head.labels(columns) for task, head in heads.items()},
            "groups": {GROUP: columns[GROUP]},
        }

    if records is not None:
        found = tf.data.Dataset.from_tensor_slices(records)
    else:
        found = datasets.records_of(datasets.in_order(files))
    parts: dict[tuple[str, str], list[Any]] = {}
    for serialized in found.shard(every, 0).batch(_BATCH):
        for key, tensors in parsed(serialized).items():
            for name, tensor in tensors.items():
                numbered = key == "views" and VIEWS[name].sparse(layout)
                value = counts(tensor.numpy()) if numbered else tensor.numpy()
                parts.setdefault((key, name), []).append(value)
    return Blocks(
        {name: _joined(parts["views", name]) for name in names},
        {name: np.concatenate(parts["present", name]) for name in names},
        {task: np.concatenate(parts["labels", task]) for task in heads},
        np.concatenate(parts["groups", GROUP]),
    )


def _joined(parts: Sequence[Block]) -> Block:
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return sparse.vstack(parts, format="csr")
