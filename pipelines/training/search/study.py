"""Hyperparameter search with Optuna: trials that run one after the other and survive a kill.

The trials are stored in an SQLite file, so each counts once however the process ends; the running
trial resumes from its last checkpoint. A trial's values depend on the seed, its number and the
trials before it, not on the number of interruptions.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import sqlalchemy
import yaml
from optuna.trial import FrozenTrial, Trial, TrialState

from triad_ml.model import stages
from triad_ml.pipelines.storage import atomic, outputs
from triad_ml.pipelines.training.config import SearchConfig
from triad_ml.pipelines.training.search import results, space
from triad_ml.pipelines.training.search.plan import SearchPlan
from triad_ml.pipelines.training.search.results import TrialRow
from triad_ml.pipelines.training.search.space import Choices
from triad_ml.pipelines.training.search.trial import (
    ATTEMPTS,
    FailedTrialError,
    Judge,
    OutOfTimeError,
    losses_of,
    train,
)
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec.spec import Spec

BEST, TABLE, TRIALS, STORAGE = "best.yaml", "trials.csv", "trials", "search.db"
"""Names of the files and of the folder in a search's folder; `trials` holds the checkpoints of the
running trial."""

MOST_ATTEMPTS = 3
"""Number of times that one epoch may end the whole process before its trial counts as failed."""

_LOCK = "lock"
_KEY, _WHY = "key", "why"
_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}
_log = logging.getLogger(__name__)


class Found(NamedTuple):
    """Result of a search.

    Attributes:
        best: File with the best spec.
        rows: All trials, by number.
    """

    best: Path
    rows: tuple[TrialRow, ...]


def run(config: SearchConfig, plan: SearchPlan) -> Found:
    """Searches until there are `config.trials` trials, or until the time is up.

    Raises:
        OptionsError: If the data or a folder cannot be used, or no trial was completed.
        StorageError: If a file cannot be read or written.
    """
    deadline = time.monotonic() + 60 * config.minutes if config.minutes is not None else None
    plan.prepared.check_files()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _alone(plan.output):
        search = _Search(plan, config.trials, deadline)
        search.finish()
        rows = search.rows()
    if results.best(rows) is None:
        failed = next((row for row in rows if row.why), None)
        if failed is not None:
            raise OptionsError(
                f"{plan.output}: no trial could be completed; trial {failed.number}: {failed.why}"
            )
        raise OptionsError(
            f"--minutes: no trial ended in {config.minutes:g} minutes; run the same command again "
            "to resume, or give more"
        )
    return Found(plan.output / BEST, rows)


def pruner() -> optuna.pruners.BasePruner:
    """Returns the pruner, which ends a trial that is worse than the median of complete ones.

    It prunes from the second epoch on, once four trials are complete.
    """
    return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Locks the folder against other searches."""
    with contextlib.ExitStack() as stack:
        with atomic.explained(str(folder)):
            outputs.mark(str(folder), "search")
            lock = stack.enter_context((folder / _LOCK).open("ab"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OptionsError(
                    f"{folder}: another search writes here; end it, or choose another --output"
                ) from error
        yield


class _Search:
    def __init__(self, plan: SearchPlan, trials: int, deadline: float | None) -> None:
        self._plan, self._wanted, self._deadline = plan, trials, deadline
        self._seconds: list[float] = []
        url = sqlalchemy.URL.create("sqlite", database=str(plan.output / STORAGE))
        self._study = optuna.create_study(
            storage=url.render_as_string(),
            study_name="search",
            load_if_exists=True,
            pruner=pruner(),
        )
        if self._study.user_attrs.setdefault(_KEY, plan.key) != plan.key:
            raise OptionsError(
                f"{plan.output}: holds another search; choose another --output, or give the data, "
                "--space and --seed that it has"
            )
        self._study.set_user_attr(_KEY, plan.key)

    def finish(self) -> None:
        """Runs trials until there are enough, or until the time is up."""
        self._forget_ended()
        while self._deadline is None or time.monotonic() < self._deadline:
            under_way = self._study.get_trials(states=(TrialState.RUNNING,))
            if not under_way and len(self._study.get_trials()) >= self._wanted:
                break
            try:
                self._run(self._trial(under_way))
            except OutOfTimeError:
                break
            finally:
                self._write()
            self._forget_ended()
        self._write()

    def rows(self) -> tuple[TrialRow, ...]:
        """Returns all trials in their order."""
        return tuple(self._row(trial) for trial in self._study.get_trials())

    def _trial(self, under_way: list[FrozenTrial]) -> Trial:
        """Returns the trial that was running when the search ended, or else a new one."""
        if under_way:
            # `Study.ask` returns only new trials, so the stored one is opened by the constructor.
            return Trial(self._study, under_way[0]._trial_id)
        return self._study.ask()

    def _run(self, trial: Trial) -> None:
        folder = self._folder(trial.number)
        begun = time.monotonic()
        try:
            self._begin(trial)
            values = self._values(trial)
            spec = self._spec(values, trial.number)
            _log.info(
                "trial %d of %d: %s%s", trial.number, self._wanted, json.dumps(values), self._left()
            )
            train(self._plan.prepared, spec, folder, Judge(trial, spec.training, self._deadline))
        except optuna.TrialPruned:
            self._study.tell(trial, state=TrialState.PRUNED)
        except FailedTrialError as error:
            _log.warning("trial %d failed: %s", trial.number, error)
            trial.set_user_attr(_WHY, str(error))
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, min(losses_of(trial).values()))
        self._seconds.append(time.monotonic() - begun)

    def _left(self) -> str:
        """Estimates the time that is left from the mean duration of the trials in this call."""
        if not self._seconds:
            return ""
        left = self._wanted - sum(t.state.is_finished() for t in self._study.get_trials())
        seconds = left * sum(self._seconds) / len(self._seconds)
        return f"; about {stages.duration(seconds)} left"

    def _begin(self, trial: Trial) -> None:
        attempts = trial.user_attrs.get(ATTEMPTS, 0)
        if attempts >= MOST_ATTEMPTS:
            raise FailedTrialError(
                f"the process ended {attempts} times in epoch {len(losses_of(trial)) + 1}; "
                "it may need more memory than there is"
            )
        trial.set_user_attr(ATTEMPTS, attempts + 1)

    def _values(self, trial: Trial) -> dict[str, Any]:
        if not trial.number:
            return {}  # the unmodified spec, so that the result is never worse
        values: dict[str, Any] = {}
        for key, part in self._plan.space.items():
            self._study.sampler = _sampler(self._plan.seed, trial.number, key)
            if isinstance(part, Choices):
                values[key] = json.loads(trial.suggest_categorical(key, part.coded))
            elif part.whole:
                values[key] = trial.suggest_int(key, int(part.low), int(part.high), log=part.log)
            else:
                values[key] = trial.suggest_float(key, part.low, part.high, log=part.log)
        return values

    def _spec(self, values: dict[str, Any], number: int) -> Spec:
        try:
            return space.applied(self._plan.spec, values, f"trial {number}")
        except OptionsError as error:  # `check` has passed each value, but not the combination
            raise FailedTrialError(str(error)) from error

    def _row(self, trial: FrozenTrial) -> TrialRow:
        losses = trial.intermediate_values
        best_epoch = min(losses, key=lambda epoch: (losses[epoch], epoch), default=0)
        values = {}
        for key, part in self._plan.space.items():
            value = trial.params.get(key)
            if value is None:
                value = space.own_value(self._plan.spec, key)
            elif isinstance(part, Choices):
                value = json.loads(value)
            values[key] = value
        return TrialRow(
            trial.number,
            _STATES[trial.state],
            losses.get(best_epoch),
            best_epoch,
            len(losses),
            values,
            trial.user_attrs.get(_WHY, ""),
        )

    def _write(self) -> None:
        rows = self.rows()
        atomic.put(str(self._plan.output / TABLE), results.to_csv(rows))
        best = results.best(rows)
        if best is not None:
            changed = best.values if best.number else {}
            spec = space.applied(self._plan.spec, changed)
            whole = yaml.safe_dump(json.loads(spec.to_json()), sort_keys=False, allow_unicode=True)
            atomic.put(str(self._plan.output / BEST), whole.encode())
            _log.info("best so far: trial %d, eval loss %.4f", best.number, best.eval_loss)

    def _forget_ended(self) -> None:
        """Removes the checkpoints of all trials except the running one."""
        with atomic.explained(str(self._plan.output)):
            for trial in self._study.get_trials():
                folder = self._folder(trial.number)
                if trial.state.is_finished() and folder.exists():
                    shutil.rmtree(folder)

    def _folder(self, number: int) -> Path:
        return self._plan.output / TRIALS / f"{number:04d}"


def _sampler(seed: int, number: int, key: str) -> optuna.samplers.BaseSampler:
    """Builds a sampler for one value, so that it is independent of this process's earlier draws."""
    digest = hashlib.sha256(f"{seed} {number} {key}".encode()).digest()
    return optuna.samplers.TPESampler(
        seed=int.from_bytes(digest[:4], "big"), multivariate=False, n_startup_trials=8
    )
