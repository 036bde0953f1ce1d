"""Progress display of a training: one long step from its first epoch to its last."""

import contextlib
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from triad_ml.model import stages

BUILDING = "the first step builds the graph"
"""Note that explains the long wait before the first optimizer step is done."""

Row = Mapping[str, float | None]
"""Row of the history: figures of one epoch by name; see `loop.TrainResult`."""


class Progress:
    """Display of a running training: its progress, and one line per finished epoch.

    Attributes:
        stage: Step that is shown; None before the first epoch.
    """

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        self.stage: stages.Stage | None = None
        self._say: stages.Say | None = None
        self._position, self._epochs, self._num_records, self._done = "", 0, 0, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    def begin(self, epoch: int, epochs: int, steps: int, num_records: int) -> None:
        """Begins an epoch; the first call opens the display with the total number of steps.

        Args:
            epoch: Number of the epoch, from 1; a resumed training begins with a later one.
            epochs: Largest number of epochs; patience may end the training sooner.
            steps: Optimizer steps in each epoch.
            num_records: Records in each epoch.
        """
        self._position, self._epochs, self._num_records = (
            f"epoch {epoch}/{epochs}",
            epochs,
            num_records,
        )
        if self.stage is None:
            total = (epochs - epoch + 1) * steps
            self.stage = stages.Stage("training", total, lambda: self._done, "steps", True)
            self.stage.note = f"{self._position}, {BUILDING}"
            self._say = self._open.enter_context(stages.showing(self.stage))

    def step(self, loss: float) -> None:
        """Records a finished optimizer step; `loss` is the mean over the epoch so far."""
        assert self.stage is not None  # `begin` was called
        self._done += 1
        self.stage.note = f"{self._position}, loss {loss:.3f}"

    def end(self, row: Row, best_epoch: int) -> None:
        """Prints a line on a finished epoch; `row` is its row of the history."""
        assert self._say is not None  # `begin` was called
        self._say(describe(row, self._epochs, self._num_records, best_epoch))


def describe(row: Row, epochs: int, num_records: int, best_epoch: int) -> str:
    """Formats a finished epoch as one line: `epoch 3/40  loss 1.204  eval loss 1.310  ...`."""
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
