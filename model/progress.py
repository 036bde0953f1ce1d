"""How a training shows its progress: a line that moves on a terminal, a log line an epoch else."""

import logging
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol, Self

import rich.progress

from model import stages

BUILDING = "the first step builds the graph"
"""What takes so long before the first step is done."""

Row = Mapping[str, float | None]

_log = logging.getLogger(__name__)


class Progress(Protocol):
    """What a training tells while it runs."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def begin(self, epoch: int, epochs: int, steps: int, num_records: int) -> None:
        """An epoch, from 1 on, begins."""

    def step(self, loss: float) -> None:
        """An optimizer step is done; `loss` is the epoch's mean so far."""

    def end(self, row: Row, best_epoch: int) -> None:
        """An epoch is done; `row` is its history."""


class LogProgress:
    """Writes one log line an epoch, and one every ten seconds of a long one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._epoch = self._epochs = self._steps = self._num_records = 0
        self._steps_before = self._step = 0
        self._begun = self._last = clock()
        self._first = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    def begin(self, epoch: int, epochs: int, steps: int, num_records: int) -> None:
        self._epoch, self._epochs, self._steps = epoch, epochs, steps
        self._num_records, self._step = num_records, 0
        if self._first:
            self._first = False
            self._begun = self._last = self._clock()
            _log.info("epoch %d/%d begins: %d steps; %s", epoch, epochs, steps, BUILDING)

    def step(self, loss: float) -> None:
        self._step += 1
        self._steps_before += 1
        now = self._clock()
        if now - self._last >= stages.INTERVAL:
            self._last = now
            _log.info(
                "epoch %d/%d  step %d/%d  loss %.3f  at most %s left",
                *(self._epoch, self._epochs, self._step, self._steps, loss),
                stages.duration(self._left(now)),
            )

    def _left(self, now: float) -> float:
        """Seconds until the end of the last epoch, at the speed so far."""
        steps = (self._epochs - self._epoch + 1) * self._steps - self._step
        return steps * (now - self._begun) / self._steps_before

    def end(self, row: Row, best_epoch: int) -> None:
        self._last = self._clock()
        _log.info("%s", describe(row, self._epochs, self._num_records, best_epoch))


class TerminalProgress:
    """Shows a moving line, and leaves one line an epoch above it."""

    def __init__(self) -> None:
        self._progress = stages.bar(
            rich.progress.TextColumn("ETA"),
            rich.progress.TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        )
        self._line: rich.progress.TaskID | None = None
        self._epoch = self._epochs = self._steps = self._num_records = self._step = 0
        self._begun = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(self, epoch: int, epochs: int, steps: int, num_records: int) -> None:
        self._epoch, self._epochs, self._steps = epoch, epochs, steps
        self._num_records, self._step, self._begun = num_records, 0, time.monotonic()
        description = f"epoch {epoch}/{epochs}"
        if self._line is None:
            total = (epochs - epoch + 1) * steps
            self._line = self._progress.add_task(description, total=total, state="")
            self._progress.update(self._line, description=description, state=BUILDING)
        self._progress.update(self._line, description=description)

    def step(self, loss: float) -> None:
        self._step += 1
        if self._line is None:
            return
        seconds = max(time.monotonic() - self._begun, 1e-6)
        speed = self._num_records * self._step / max(self._steps, 1) / seconds
        state = f"step {self._step}/{self._steps}  loss {loss:.3f}  {speed:.0f} records/s"
        self._progress.update(self._line, advance=1, state=state)

    def end(self, row: Row, best_epoch: int) -> None:
        line = describe(row, self._epochs, self._num_records, best_epoch)
        self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)


def choose() -> Progress:
    """The progress that fits standard error."""
    return TerminalProgress() if stages.moving() else LogProgress()


def describe(row: Row, epochs: int, num_records: int, best_epoch: int) -> str:
    """One line on a finished epoch, such as `epoch 3/40  loss 1.204  eval loss 1.310  ...`."""
    parts = [f"epoch {row['epoch']:.0f}/{epochs}", f"loss {row['loss']:.3f}"]
    if (eval_loss := row["eval_loss"]) is not None:
        parts.append(f"eval loss {eval_loss:.3f}")
    for name, value in row.items():
        if name.endswith("_accuracy") and value is not None:
            parts.append(f"{name.removesuffix('_accuracy')} {value:.1%}")
    parts.append(f"{num_records / max(row['seconds'] or 0.0, 1e-3):.0f} records/s")
    if row["epoch"] == best_epoch:
        parts.append("best so far")
    return "  ".join(parts)
