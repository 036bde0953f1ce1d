"""How a training shows its progress: one step that is shown from its first epoch to its last."""

import contextlib
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from triad_ml.model import stages

BUILDING = "the first step builds the graph"
"""What takes so long before the first step is done."""

Row = Mapping[str, float | None]


class Progress:
    """What a training tells while it runs: how far it is, and a line an epoch.

    Attributes:
        stage: What is shown; None before the first epoch.
    """

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        self.stage: stages.Stage | None = None
        self._say: stages.Say | None = None
        self._place, self._epochs, self._num_records, self._done = "", 0, 0, 0

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
        """An epoch begins; the first one says how much there is to do.

        Args:
            epoch: From 1 on; a training that goes on begins later.
            epochs: At most: patience may end the training sooner.
            steps: Of each epoch.
            num_records: Of each epoch.
        """
        self._place, self._epochs, self._num_records = (
            f"epoch {epoch}/{epochs}",
            epochs,
            num_records,
        )
        if self.stage is None:
            total = (epochs - epoch + 1) * steps
            self.stage = stages.Stage("training", total, lambda: self._done, "steps", True)
            self.stage.note = f"{self._place}, {BUILDING}"
            self._say = self._open.enter_context(stages.showing(self.stage))

    def step(self, loss: float) -> None:
        """An optimizer step is done; `loss` is the epoch's mean so far."""
        assert self.stage is not None  # an epoch began
        self._done += 1
        self.stage.note = f"{self._place}, loss {loss:.3f}"

    def end(self, row: Row, best_epoch: int) -> None:
        """An epoch is done; `row` is its history."""
        assert self._say is not None  # an epoch began
        self._say(describe(row, self._epochs, self._num_records, best_epoch))


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
