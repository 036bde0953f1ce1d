"""Training histories as they are shown: learning curves, and every epoch in figures."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines import charts


def view(history: Sequence[Mapping[str, str]]) -> dict[str, Any] | None:
    """Charts and table of the training history, or None where there is none."""
    if not history:
        return None
    columns = list(history[0])
    epochs = [int(float(row["epoch"])) for row in history]
    losses = [
        _series(history, column, name)
        for column, name in (("loss", "train"), ("eval_loss", "eval"))
        if column in columns
    ]
    accuracies = [
        _series(history, column, column.removeprefix("eval_").removesuffix("_accuracy"))
        for column in columns
        if column.endswith("_accuracy")
    ]
    best = _best(history, epochs)
    found = []
    for name, series, shares in (
        ("Loss", losses, False),
        ("Accuracy on the eval split", accuracies, True),
    ):
        if series:
            chart = charts.lines(
                name, epochs, series, x_name="epoch", percent=shares, mark=best and best[0]
            )
            found.append({"name": name, "series": [one.name for one in series], "svg": chart})
    seconds = sum(_number(row.get("seconds")) or 0 for row in history)
    spent = f" in {_duration(seconds)}" if seconds else ""
    lowest = (
        f" The eval loss is lowest, {best[1]:.3f}, at epoch {best[0]} (dotted)." if best else ""
    )
    num = len(history)
    return {
        "sentence": f"{num:,} {'epoch' if num == 1 else 'epochs'}{spent}.{lowest}",
        "charts": found,
        "columns": columns,
        "rows": [[_short(column, row[column]) for column in columns] for row in history],
    }


def _series(history: Sequence[Mapping[str, str]], column: str, name: str) -> charts.Series:
    return charts.Series(name, tuple(_number(row[column]) for row in history))


def _best(history: Sequence[Mapping[str, str]], epochs: Sequence[int]) -> tuple[int, float] | None:
    pairs = [
        (loss, epoch)
        for epoch, row in zip(epochs, history, strict=True)
        if (loss := _number(row.get("eval_loss"))) is not None
    ]
    return min(pairs)[::-1] if pairs else None


def _number(value: str | None) -> float | None:
    """A finite number, or None: an empty cell is how a missing figure is written."""
    if not value:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _short(column: str, value: str) -> str:
    number = _number(value)
    if number is None:
        return "–"
    return f"{number:g}" if column == "epoch" else f"{number:.4g}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
