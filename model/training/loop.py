"""Training loop of the network: exactly resumable, and a function of spec, files and seed."""

import csv
import dataclasses
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from triad_ml.model import layout as model_layout
from triad_ml.model import network
from triad_ml.model.data import datasets, sampling, scan
from triad_ml.model.data.datasets import Copies
from triad_ml.model.layout import Layout
from triad_ml.model.training import checkpoints, progress
from triad_ml.model.training import steps as training_steps
from triad_ml.model.training.checkpoints import Arrays, Checkpoint
from triad_ml.model.training.generated import records
from triad_ml.transforms.errors import DivergedError, OptionsError, StorageError

Row = Mapping[str, float | None]

NETWORK = 2
"""Version of the networks. It is increased when an equal spec gives other weights, so that no
checkpoint of an earlier version is continued."""

_SAMPLING = 3  # purpose of a seed: the copies of an epoch; `steps` has the others

CHECKPOINTS, HISTORY, GENERATED = "checkpoints", "history.csv", records.FOLDER
"""Names in the output folder of a training: its checkpoints, history and generated records."""


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """Result of a finished training.

    Attributes:
        networks: Networks with the weights of the best epoch.
        history: Rows, one per epoch: `epoch`, `loss`, `eval_loss`, `<task>_accuracy` on the eval
            split, `<task>_weight` if these are learned, `learning_rate`, `seconds`. Figures of the
            eval split are None if it has no label.
        best_epoch: Number of the best epoch by `training.best_by`, from 1; the last epoch if the
            eval split has no label.
        steps: Number of optimizer steps in all epochs.
        resumed_from: Epoch after which this call resumed; 0 if it began anew, the last epoch if an
            earlier call had finished the training.
    """

    networks: network.Networks
    history: tuple[Row, ...]
    best_epoch: int
    steps: int
    resumed_from: int

    @property
    def model(self) -> keras.Model:
        """Scoring network."""
        return self.networks.scoring


def train(
    files: Mapping[str, Sequence[str]],
    layout: Layout,
    output: str | Path,
    data_digest: str,
    on_epoch: Callable[[Row], None] | None = None,
    shards: Mapping[str, scan.Shard] | None = None,
) -> TrainResult:
    """Trains a network, resumes an interrupted training, or loads a finished one.

    A checkpoint is written after each epoch. Everything random is drawn from the seed, the epoch
    and the step. So on the CPU of one machine, an interrupted training ends with exactly the
    weights of an uninterrupted one.

    Args:
        files: TFRecord files by split; `train`, and optionally `eval`.
        layout: Layout of the files; its spec has the training settings.
        output: Folder of the checkpoints and of `history.csv`.
        data_digest: Digest of the files' content; a training resumes only on the same content.
        on_epoch: Function that is called with each new row of the history, after its checkpoint is
            written.
        shards: By file, its expected records and digest, see `scan.survey`.

    Raises:
        OptionsError: If there is nothing to learn from, if a file is damaged or is not the
            expected one, or if the folder holds another training.
        DivergedError: If the loss is not finite.
        StorageError: If a file cannot be read or written.
    """
    folder = Path(output)
    digest = _digest(layout, data_digest)
    last = checkpoints.latest(folder / CHECKPOINTS, digest)
    keras.utils.set_random_seed(layout.spec.training.seed)
    networks = network.build_networks(layout)
    resumed_from = last.epoch if last is not None else 0
    if last is None or not last.done:
        with progress.Progress() as display:
            run = _Run(files, layout, folder, digest, networks, last, shards)
            last = run.finish(display, on_epoch)
    _assign(networks.training.weights, last.best)
    _write_history(folder / HISTORY, last.history)
    steps = int(last.optimizer[0])  # Keras keeps the number of iterations first
    return TrainResult(networks, last.history, last.best_epoch, steps, resumed_from)


class _Run:
    """Unfinished training, at its beginning or after a checkpoint."""

    def __init__(
        self,
        files: Mapping[str, Sequence[str]],
        layout: Layout,
        folder: Path,
        digest: str,
        networks: network.Networks,
        last: Checkpoint | None,
        shards: Mapping[str, scan.Shard] | None,
    ) -> None:
        self._layout, self._folder, self._digest = layout, folder, digest
        self._split = scan.survey(files.get("train", ()), layout, shards)
        made = records.added(self._split, layout, folder)
        if made:
            known = None if shards is None else {**shards, **made}
            self._split = scan.survey((*self._split.files, *made), layout, known)
        for name, count in self._split.labelled.items():
            if not count and not layout.spec.tasks[name].needs_classes:
                raise model_layout.no_label(name)
        self._expected = sampling.expected_copies(layout, self._split.sampled)
        self._num_steps, self._batch_size = even_batches(
            self._split.num_records, layout.spec.training.batch_size
        )
        self._eval = scan.survey(files.get("eval", ()), layout, shards)
        self._eval_batches = _eval_batches(self._eval, layout)
        self._network = networks.training
        planned = self._num_steps * layout.spec.training.epochs
        weights = training_steps.class_weights(self._split, layout)
        offsets = training_steps.class_offsets(self._split, layout)
        self._steps = training_steps.Steps(networks, layout, weights, planned, offsets)
        self._last = last
        if last is not None:
            _assign(self._network.weights, last.weights)
            _assign(self._steps.state, last.optimizer)

    def finish(
        self, display: progress.Progress, on_epoch: Callable[[Row], None] | None
    ) -> Checkpoint:
        """Trains to the last epoch, or until patience runs out; returns the last checkpoint."""
        while self._last is None or not self._last.done:
            begun = time.monotonic()
            epoch = self._last.epoch + 1 if self._last is not None else 1
            learning_rate = self._steps.learning_rate
            loss = self._train_epoch(epoch, display)
            eval_loss, accuracies = self._measure()
            row = {
                "epoch": epoch,
                "loss": loss,
                "eval_loss": eval_loss,
                **accuracies,
                **{f"{name}_weight": value for name, value in self._steps.task_weights.items()},
                "learning_rate": learning_rate,
                "seconds": time.monotonic() - begun,
            }
            self._check_finite(row)
            self._last = self._checkpoint(row)
            checkpoints.save(self._folder / CHECKPOINTS, self._last)
            _write_history(self._folder / HISTORY, self._last.history)
            display.end(row, self._last.best_epoch)
            if on_epoch is not None:
                on_epoch(row)
        return self._last

    def _train_epoch(self, epoch: int, display: progress.Progress) -> float:
        settings = self._layout.spec.training
        display.begin(epoch, settings.epochs, self._num_steps, self._split.num_records)
        self._steps.begin_epoch(epoch)
        batches = datasets.train_dataset(
            self._split.unchanged_files(),
            self._layout,
            self._batch_size,
            settings.seed,
            epoch,
            self._split.records,
            copies=self._copies(epoch),
        )
        total = 0.0
        for step, batch in enumerate(batches):
            total += self._steps.train(batch, epoch, step)
            display.step(total / (step + 1))
        return total / self._num_steps

    def _copies(self, epoch: int) -> Copies | None:
        """Draws the number of copies of each record in an epoch; None if each is read once."""
        if self._expected is None:
            return None
        random = np.random.default_rng([self._layout.spec.training.seed, epoch, _SAMPLING])
        return Copies(sampling.copies(self._expected, random), self._split.rows)

    def _measure(self) -> tuple[float | None, dict[str, float | None]]:
        """Computes the weighted loss on the eval split, and each task's accuracy there."""
        loss: float | None = None
        accuracies: dict[str, float | None] = {
            f"{name}_accuracy": None for name in self._layout.spec.tasks
        }
        if self._eval_batches is None:
            return loss, accuracies
        self._eval.unchanged_files()
        for name, sums in self._steps.measure(self._eval_batches).items():
            if sums.labelled:
                accuracies[f"{name}_accuracy"] = sums.correct / sums.labelled
            if sums.known:
                loss = (loss or 0.0) + self._layout.spec.tasks[name].weight * sums.loss / sums.known
        return loss, accuracies

    def _check_finite(self, row: Row) -> None:
        for name in ("loss", "eval_loss"):
            value = row[name]
            if value is not None and not math.isfinite(value):
                rate = self._layout.spec.training.learning_rate
                raise DivergedError(
                    f"training diverged: {name} is {value} in epoch {row['epoch']:.0f}; "
                    f"lower training.learning_rate, now {rate:g}"
                )

    def _checkpoint(self, row: Row) -> Checkpoint:
        settings, last = self._layout.spec.training, self._last
        epoch, loss = int(row["epoch"] or 0), self._compared(row)
        weights = _values(self._network.weights)
        best, best_epoch, best_loss = weights, epoch, loss
        # The last epoch counts if there is nothing to compare epochs by.
        if (
            last is not None
            and loss is not None
            and last.best_loss is not None
            and loss >= last.best_loss
        ):
            best, best_epoch, best_loss = last.best, last.best_epoch, last.best_loss
        return Checkpoint(
            digest=self._digest,
            epoch=epoch,
            weights=weights,
            optimizer=_values(self._steps.state),
            best=best,
            best_epoch=best_epoch,
            best_loss=best_loss,
            history=(*(last.history if last is not None else ()), row),
            done=epoch >= settings.epochs or epoch - best_epoch >= settings.patience,
        )

    def _compared(self, row: Row) -> float | None:
        """Returns the value to compare epochs by (lower is better); None if the last one counts."""
        best_by = self._layout.spec.training.best_by
        if best_by is None:
            return row["eval_loss"]
        if best_by == "last" or row["eval_loss"] is None:
            return None
        tasks = self._layout.spec.tasks.items()
        return -sum(task.weight * (row[f"{name}_accuracy"] or 0.0) for name, task in tasks)


def even_batches(num_records: int, batch_size: int) -> tuple[int, int]:
    """Computes the number of steps in an epoch and the rows of each batch.

    The number of steps is the smallest that `batch_size` allows, and all batches are about equally
    large: a last batch of a few records would move the weights as far as a full one.

    Raises:
        OptionsError: If there are no records.
    """
    if not num_records:
        raise OptionsError(
            "the training split holds no records; give more records or another split.train"
        )
    num_steps = -(-num_records // batch_size)
    return num_steps, -(-num_records // num_steps)


def _eval_batches(split: scan.Survey, layout: Layout) -> tf.data.Dataset | None:
    if not split.num_records:
        return None
    _, batch_size = even_batches(split.num_records, layout.spec.training.batch_size)
    return datasets.eval_dataset(split.files, layout, batch_size, split.records)


def _digest(layout: Layout, data_digest: str) -> str:
    parts = [layout.spec.digest(), layout.vocabulary_size, data_digest]
    classes = {name: list(names) for name, names in layout.classes.items()}
    return hashlib.sha256(json.dumps([parts, classes], sort_keys=True).encode()).hexdigest()


def _values(variables: Sequence[keras.Variable]) -> Arrays:
    return tuple(np.array(variable.numpy()) for variable in variables)


def _assign(variables: Sequence[keras.Variable], values: Arrays) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _write_history(path: Path, history: Sequence[Row]) -> None:
    temporary = path.with_name(f".{path.name}.writing")
    try:
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(history[0]))
            writer.writeheader()
            writer.writerows(history)
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written: {error.strerror or error}; make room or permit writing"
        ) from error
