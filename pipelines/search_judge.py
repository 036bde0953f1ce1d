"""Whether a trial of a search goes on: told of each epoch, it compares and looks at the clock."""

import time

import optuna
from optuna.trial import FrozenTrial, Trial

from triad_ml.pipelines.training.search.trial import Rows
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec.training import Training

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
