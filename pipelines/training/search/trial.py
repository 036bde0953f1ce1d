"""One trial of a search: a training whose checkpoints can be gone on with, and nothing exported."""

import csv
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from triad_ml.model import layout as model_layout
from triad_ml.model.data import scan
from triad_ml.model.training import loop
from triad_ml.pipelines.preprocessing.dataset import Preprocessed
from triad_ml.transforms.errors import DivergedError
from triad_ml.transforms.spec.spec import Spec

Rows = Sequence[Mapping[str, float]]
"""Of a training's history; those parts that are numbers."""

_log = logging.getLogger(__name__)


class FailedTrialError(Exception):
    """What costs the trial and not the search: it diverged, or it needs too much memory."""


def train(prepared: Preprocessed, spec: Spec, folder: Path, told: Callable[[Rows], None]) -> None:
    """Trains, or goes on with a training in the same folder.

    Args:
        prepared: What is learned from.
        spec: Its spec, with other settings.
        folder: For the checkpoints.
        told: Called after each epoch with all of the history so far.

    Raises:
        FailedTrialError: See there.
        TriadError: What would fail the next trial too.
        Exception: Whatever `told` raises, which ends the training.
    """
    keras.utils.clear_session()  # what an earlier trial left would stay in memory
    layout = model_layout.Layout(spec, prepared.classes, prepared.vocabulary_size)
    files = {split: prepared.files(split) for split in ("train", "eval")}
    shards = {path: scan.Shard(*shard) for path, shard in prepared.shards.items()}

    def on_epoch(row: loop.Row) -> None:
        told(history(folder))

    try:
        loop.train(
            files, layout, folder, prepared.manifest["key"], on_epoch=on_epoch, shards=shards
        )
    except DivergedError as error:
        raise FailedTrialError(str(error)) from error
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        raise FailedTrialError("out of memory") from error
    told(history(folder))  # of a training that had ended before this call, nothing was told yet


def history(folder: Path) -> Rows:
    """The epochs that are done, from the first one on."""
    with (folder / loop.HISTORY).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: float(value) for name, value in row.items() if value} for row in rows]
