"""Trial of a search: a training that resumes from its checkpoints and exports no model."""

import csv
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import optuna
import tensorflow as tf
from optuna.trial import FrozenTrial, Trial

from triad_ml.model import layout as model_layout
from triad_ml.model.data import scan
from triad_ml.model.training import loop
from triad_ml.pipelines.preprocessing.dataset import Preprocessed
from triad_ml.transforms.errors import DivergedError, OptionsError
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.spec.training import Training

Rows = Sequence[Mapping[str, float]]
"""Epochs of a training's history; each maps names of columns to numbers."""

_log = logging.getLogger(__name__)


class FailedTrialError(Exception):
    """Failure of one trial that does not end the search: it diverged, or ran out of memory."""


def train(prepared: Preprocessed, spec: Spec, folder: Path, told: Callable[[Rows], None]) -> None:
    """Trains one trial, or resumes its training in the same folder.

    Args:
        prepared: Prepared data on which the model is trained.
        spec: Spec of the data, with the settings of the trial.
        folder: Folder for the checkpoints.
        told: Function that is called after each epoch with the whole history so far.

    Raises:
        FailedTrialError: If only this trial fails.
        TriadError: If the next trial would fail too.
        Exception: Any error that `told` raises, which ends the training.
    """
    keras.utils.clear_session()  # frees the memory of earlier trials
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
    told(history(folder))  # `on_epoch` is not called if the training had ended before this call


def history(folder: Path) -> Rows:
    """Reads the epochs that are done, from the first one on."""
    with (folder / loop.HISTORY).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: float(value) for name, value in row.items() if value} for row in rows]


ATTEMPTS = "attempts"
"""Attribute of a trial with the number of processes that began its current epoch."""


class OutOfTimeError(Exception):
    """End of a search's time; the trial continues when the search is resumed."""


class Judge:
    """Callback after each epoch: reports the loss to Optuna, prunes, and stops at the deadline.

    Args:
        trial: Trial that is trained.
        settings: Settings of the training.
        deadline: Time of `time.monotonic` at which the search ends, in seconds; None for no limit.
    """

    def __init__(self, trial: Trial, settings: Training, deadline: float | None) -> None:
        self._trial, self._settings, self._deadline = trial, settings, deadline

    def __call__(self, rows: Rows) -> None:
        """Reports the new epochs of the history.

        Raises:
            optuna.TrialPruned: If other trials were better at the same epoch.
            OutOfTimeError: If another epoch would not end in time.
            OptionsError: If there is no eval loss.
        """
        known = losses_of(self._trial)
        for row in rows:
            epoch = int(row["epoch"])
            if epoch in known:  # reported by an earlier process
                continue
            if "eval_loss" not in row:
                raise OptionsError(
                    "the eval split holds no labels, and a search chooses by the loss there; "
                    "label some of its records and prepare again"
                )
            self._trial.report(row["eval_loss"], epoch)
            self._trial.set_user_attr(ATTEMPTS, 1)
            if self._trial.should_prune():
                raise optuna.TrialPruned
        self._check_time(rows)

    def _check_time(self, rows: Rows) -> None:
        if self._deadline is None or self._ended(rows):
            return
        # An epoch that would not end in time is not begun.
        if time.monotonic() + rows[-1]["seconds"] > self._deadline:
            raise OutOfTimeError

    def _ended(self, rows: Rows) -> bool:
        losses = [row["eval_loss"] for row in rows]
        waited = len(losses) - 1 - losses.index(min(losses))
        return len(losses) >= self._settings.epochs or waited >= self._settings.patience


def losses_of(trial: Trial) -> dict[int, float]:
    """Returns the eval losses that are reported so far, by epoch."""
    stored: FrozenTrial = trial.storage.get_trial(trial._trial_id)
    return dict(stored.intermediate_values)
