"""Training history of the report: learning curves, and a table of all epochs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from triad_ml.pipelines.report import charts
from triad_ml.transforms.spec.training import Training


def view(
    history: Sequence[Mapping[str, str]], training: Training | None = None
) -> dict[str, Any] | None:
    """Returns charts and table of the training history; None if there is no history.

    The training loss and the eval loss have separate charts, because they have different terms.

    Args:
        history: One row for each epoch.
        training: Training section of the model's spec, which decides the terms of the training
            loss.
    """
    if not history:
        return None
    columns = list(history[0])
    epochs = [int(float(row["epoch"])) for row in history]
    accuracies = [
        _series(history, column, column.removeprefix("eval_").removesuffix("_accuracy"))
        for column in columns
        if column.endswith("_accuracy")
    ]
    best = _best(history, epochs)
    curves = []
    for name, series, shares in (
        ("Loss in training", _loss(history, "loss", "train"), False),
        ("Loss on the eval split", _loss(history, "eval_loss", "eval"), False),
        ("Accuracy on the eval split", accuracies, True),
    ):
        if series:
            chart = charts.lines(
                name, epochs, series, x_name="epoch", percent=shares, mark=best and best[0]
            )
            curves.append({"name": name, "series": [line.name for line in series], "svg": chart})
    seconds = sum(_number(row.get("seconds")) or 0 for row in history)
    spent = f" in {_duration(seconds)}" if seconds else ""
    lowest = (
        f" The eval loss is lowest, {best[1]:.3f}, at epoch {best[0]} (dotted)." if best else ""
    )
    num = len(history)
    return {
        "sentence": f"{num:,} {'epoch' if num == 1 else 'epochs'}{spent}.{lowest}",
        "terms": _terms(training),
        "charts": curves,
        "columns": columns,
        "rows": [[_short(column, row[column]) for column in columns] for row in history],
    }


def _loss(
    history: Sequence[Mapping[str, str]], column: str, name: str
) -> tuple[charts.Series, ...]:
    series = _series(history, column, name) if column in history[0] else None
    return () if series is None or not any(v is not None for v in series.values) else (series,)


def _terms(training: Training | None) -> str:
    """Returns the reason for which the two losses must not be compared with each other."""
    also = []
    if training is not None:
        also = [
            name
            for name, is_used in (
                ("augmentation", bool(training.changes)),
                ("label smoothing", training.label_smoothing),
                ("the losses of the modalities' own heads", training.auxiliary_weight),
                ("learned weights of the tasks", training.task_weights != "fixed"),
            )
            if is_used
        ]
    more = f", with {', '.join(also)}" if also else ""
    return (
        "Compare each loss with itself only. That of training is the mean over an epoch in which "
        f"the weights change, under dropout{more}, and with weights of the classes and focal loss "
        "where the spec has them. That of the eval split is measured when the epoch is over, "
        "without any of these."
    )


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
    """Returns a finite number; None for an empty cell, which stands for a missing figure."""
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
