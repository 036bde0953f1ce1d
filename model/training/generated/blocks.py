"""Generated rows for linear models: pooled features and frozen vectors of rare classes."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from triad_ml.model.linear.blocks import Block, Blocks
from triad_ml.model.training.generated import vectors as generated_vectors
from triad_ml.transforms.features.ids import MISSING_LABEL

GROUP = 0
"""Group of all generated rows."""


def enlarged(
    blocks: Blocks, task: str, num_classes: int, method: str, seed: int, folder: Path
) -> Blocks:
    """Appends generated rows of a task's rare classes to the records of a training split.

    Each modality with a dense view gets rows of its own, which have no other modality and no label
    of another task. They would flatter a choice of settings by cross-validation, so choose settings
    on the blocks without them.

    Args:
        blocks: Records of the training split.
        task: Task with one class a record.
        num_classes: Number of its classes.
        method: Name from `vectors.METHODS`.
        seed: Seed of everything random.
        folder: Folder of the GAN's checkpoints.
    """
    labels = blocks.labels[task]
    known = (labels >= 0) & (labels < num_classes)
    whole = blocks
    for name, view in blocks.views.items():
        if not isinstance(view, np.ndarray):
            continue
        rows = known & blocks.present[name]
        if not rows.any():
            continue
        made = generated_vectors.generated(
            method, view[rows], labels[rows], num_classes, seed, folder / name
        )
        if len(made.ids):
            whole = _appended(whole, name, made.vectors, task, made.ids)
    return whole


def _appended(
    blocks: Blocks,
    modality: str,
    vectors: npt.NDArray[np.float32],
    task: str,
    ids: npt.NDArray[np.int64],
) -> Blocks:
    rows = len(ids)
    views: dict[str, Block] = {}
    for name, view in blocks.views.items():
        if not isinstance(view, np.ndarray):
            none = sparse.csr_matrix((rows, view.shape[1]), dtype=view.dtype)
            views[name] = sparse.vstack([view, none], format="csr")
        else:
            own = vectors if name == modality else np.zeros((rows, view.shape[1]), np.float32)
            views[name] = np.concatenate([view, own])
    present = {
        name: np.concatenate([one, np.full(rows, name == modality)])
        for name, one in blocks.present.items()
    }
    labels: dict[str, npt.NDArray[Any]] = {}
    for name, one in blocks.labels.items():
        missing = np.full((rows, *one.shape[1:]), MISSING_LABEL, one.dtype)
        labels[name] = np.concatenate([one, ids if name == task else missing])
    groups = np.concatenate([blocks.groups, np.full(rows, GROUP, np.int64)])
    return dataclasses.replace(blocks, views=views, present=present, labels=labels, groups=groups)
