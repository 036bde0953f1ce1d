"""Results of a search: rows of trials, as CSV and as a table for the terminal."""

import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class TrialRow:
    """Result of one trial.

    Attributes:
        number: Number of the trial, from 0 on; trial 0 has the unmodified spec.
        state: State: `complete`, `pruned`, `failed` or `running`.
        eval_loss: Lowest eval loss; None if no epoch is done.
        best_epoch: Epoch with the lowest eval loss; 0 if no epoch is done.
        epochs: Number of epochs that are done.
        values: Values of the trial, by key of the space.
        why: Reason for a failure, or "".
    """

    number: int
    state: str
    eval_loss: float | None
    best_epoch: int
    epochs: int
    values: Mapping[str, Any]
    why: str


def best(rows: Sequence[TrialRow]) -> TrialRow | None:
    """Returns the complete trial with the lowest eval loss, the first of equals, or None."""
    complete = [row for row in rows if row.state == "complete" and row.eval_loss is not None]
    return min(complete, key=lambda row: (row.eval_loss, row.number), default=None)


def to_csv(rows: Sequence[TrialRow]) -> bytes:
    """Returns a CSV file with one line for each trial, in their order."""
    file = io.StringIO(newline="")
    keys = list(rows[0].values) if rows else []
    writer = csv.writer(file)
    writer.writerow(["trial", "state", "eval_loss", "best_epoch", "epochs", *keys, "why"])
    for row in rows:
        loss = "" if row.eval_loss is None else repr(row.eval_loss)
        values = [_exact(row.values[key]) for key in keys]
        writer.writerow([row.number, row.state, loss, row.best_epoch, row.epochs, *values, row.why])
    return file.getvalue().encode()


def table(rows: Sequence[TrialRow]) -> "Table":
    """Builds a table of the best trials for a terminal."""
    from rich import box
    from rich.table import Table

    keys = list(rows[0].values) if rows else []
    ended = sorted(
        (row for row in rows if row.state == "complete" and row.eval_loss is not None),
        key=lambda row: (row.eval_loss, row.number),
    )
    counts = {state: sum(row.state == state for row in rows) for state in _STATES}
    result = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
        title=", ".join(f"{n} {state}" for state, n in counts.items() if n),
        caption="Trial 0 is the spec as it was.",
    )
    for name in ("trial", "eval loss", "epoch", *keys):
        result.add_column(name.rpartition(".")[2], justify="right")
    for row in ended[:_SHOWN]:
        values = [_shown(row.values[key]) for key in keys]
        result.add_row(str(row.number), f"{row.eval_loss:.4f}", str(row.best_epoch), *values)
    return result


_STATES = ("complete", "pruned", "failed", "running")


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _exact(value)


def _exact(value: Any) -> str:
    return json.dumps(value).strip('"')
