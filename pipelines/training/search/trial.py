"""One trial of a search: a training whose checkpoints can be gone on with, and nothing exported."""

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


ATTEMPTS = "attempts"
"""A trial's attribute: how many processes began the epoch that it is in."""


class OutOfTimeError(Exception):
    """The time is up; the trial goes on when the search does."""


class Judge:
    """Hears of each epoch, and ends the training where it is not worth its time, or out of it.

    Args:
        trial: Whose training it is.
        settings: Of the training.
        deadline: By `time.monotonic`; None where there is none.
    """

    def __init__(self, trial: Trial, settings: Training, deadline: float | None) -> None:
        self._trial, self._settings, self._deadline = trial, settings, deadline

    def __call__(self, rows: Rows) -> None:
        """Takes the history so far.

        Raises:
            optuna.TrialPruned: Where other trials were better at the same epoch.
            OutOfTimeError: Where another epoch would not end in time.
            OptionsError: Where there is no eval loss.
        """
        known = losses_of(self._trial)
        for row in rows:
            epoch = int(row["epoch"])
            if epoch in known:  # told before the process was ended
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
        # No epoch is begun that would not end in time.
        if time.monotonic() + rows[-1]["seconds"] > self._deadline:
            raise OutOfTimeError

    def _ended(self, rows: Rows) -> bool:
        losses = [row["eval_loss"] for row in rows]
        waited = len(losses) - 1 - losses.index(min(losses))
        return len(losses) >= self._settings.epochs or waited >= self._settings.patience


def losses_of(trial: Trial) -> dict[int, float]:
    """By epoch, what is reported so far."""
    found: FrozenTrial = trial.storage.get_trial(trial._trial_id)
    return dict(found.intermediate_values)
