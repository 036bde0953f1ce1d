"""Confusion matrices of the report, limited in classes, with the commonest confusions."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_CLASSES = 40
"""Largest number of classes that have separate rows."""

_PAIRS = 6  # most confusions that are listed

_Counts = npt.NDArray[np.int64]


def view(task: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the matrix of one task of an evaluation document; None if the task has none.

    Classes beyond the 40 that occur most often, as label or as prediction, share the last row and
    column.

    Returns:
        `names` of the columns; `rows`, each with `name`, `n` and `cells` (`n`, `share` of the row,
        `hit` on the diagonal); `pairs`, the commonest confusions; `note`, or "".
    """
    recorded = task["as recorded"]
    if "confusion" not in recorded or not recorded["n"]:
        return None
    order = natural_order(task["classes"])
    names = [task["classes"][index] for index in order]
    counts = np.asarray(recorded["confusion"], np.int64)[np.ix_(order, order)]
    pairs = _pairs(names, counts)
    notes = []
    has_others = len(names) > MOST_CLASSES
    if has_others:
        names, counts = _with_others(names, counts)
        notes.append(f"The {MOST_CLASSES} most frequent classes have rows of their own.")
    if recorded["unseen"]:
        notes.append(
            f"{recorded['unseen']:,} more records are of a class that training never saw; they "
            "count as wrong, and have no row."
        )
    totals = counts.sum(axis=1)
    hits = np.eye(len(names), dtype=bool)
    shares = counts / np.maximum(totals, 1)[:, None]
    if has_others:  # the cell others-others mixes right and wrong predictions
        hits[-1, -1], shares[-1, -1] = False, 0
    return {
        "names": names,
        "rows": [
            {
                "name": name,
                "n": int(totals[i]),
                "cells": [
                    {"n": int(n), "share": float(shares[i, j]), "hit": bool(hits[i, j])}
                    for j, n in enumerate(counts[i])
                ],
            }
            for i, name in enumerate(names)
        ],
        "pairs": pairs,
        "note": " ".join(notes),
    }


def natural_order(names: Sequence[str]) -> list[int]:
    """Returns the indices of the names in numeric order if all names are numbers.

    That is `1`, `2`, `10` and not `1`, `10`, `2`; other names keep their order.
    """
    indices = list(range(len(names)))
    try:
        numbers = [float(name) for name in names]
    except ValueError:
        return indices
    if not all(map(math.isfinite, numbers)):
        return indices
    return sorted(indices, key=lambda index: numbers[index])


def _pairs(names: list[str], counts: _Counts) -> list[dict[str, Any]]:
    errors = counts * ~np.eye(len(names), dtype=bool)
    order = np.argsort(-errors, axis=None, kind="stable")[:_PAIRS]
    cells = (divmod(int(cell), len(names)) for cell in order)
    return [
        {"truth": names[i], "predicted": names[j], "n": int(errors[i, j])}
        for i, j in cells
        if errors[i, j]
    ]


def _with_others(names: list[str], counts: _Counts) -> tuple[list[str], _Counts]:
    weight = counts.sum(axis=0) + counts.sum(axis=1)
    kept = sorted(np.argsort(-weight, kind="stable")[:MOST_CLASSES])
    index = np.full(len(names), len(kept))
    index[kept] = np.arange(len(kept))
    summed = np.zeros((len(kept) + 1, len(kept) + 1), np.int64)
    np.add.at(summed, (index[:, None], index[None, :]), counts)
    return [*(names[i] for i in kept), f"{len(names) - len(kept)} others"], summed
