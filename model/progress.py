"""How a training shows its progress: a line that moves on a terminal, a log line an epoch else."""

import logging
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

import rich.console
import rich.progress

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
    """Writes one log line an epoch."""

    def __init__(self) -> None:
        self._epochs = self._num_records = 0

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
        self._epochs, self._num_records = epochs, num_records

    def step(self, loss: float) -> None:
        return None

    def end(self, row: Row, best_epoch: int) -> None:
        _log.info("%s", describe(row, self._epochs, self._num_records, best_epoch))


class TerminalProgress:
    """Shows a moving line, and leaves one line an epoch above it."""

    def __init__(self) -> None:
        self._console = rich.console.Console(stderr=True)
        self._progress = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.TextColumn("{task.fields[state]}"),
            rich.progress.TextColumn("ETA"),
            rich.progress.TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=self._console,
            transient=True,
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
        self._progress.update(self._line, description=description, state="")

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
    return TerminalProgress() if sys.stderr.isatty() else LogProgress()


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
