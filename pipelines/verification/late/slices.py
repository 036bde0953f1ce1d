"""Slices: the rows of a column by value, or by bins of numbers."""

import collections
import decimal
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from triad_ml.pipelines.verification.config import Slice

MOST = 20
"""Largest number of values of a column with a slice each, the commonest; others share a slice."""

Masks = dict[str, npt.NDArray[np.bool_]]


def rows(division: Slice, values: Sequence[Any]) -> Masks:
    """Returns the rows of each slice of a column, bool `[n]`, by the name of the slice.

    Args:
        division: Column with the edges of bins, if there are any.
        values: Values of the column.
    """
    if division.edges:
        return _named([_bin(value, division.edges) for value in values])
    names = [_text(value) for value in values]
    counts = collections.Counter(names)
    commonest = sorted(counts, key=lambda name: (-counts[name], name))[:MOST]
    others = f"(other values: {len(counts) - MOST})"
    return _named([name if name in commonest else others for name in names])


def _named(names: Sequence[str]) -> Masks:
    array = np.array(names, object)
    return {name: array == name for name in dict.fromkeys(names)}


def _text(value: Any) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, list):
        return "+".join(map(str, value)) or "(none)"
    return str(value)


def _bin(value: Any, edges: Sequence[float]) -> str:
    number = _number(value)
    if number is None:
        return "(no number)"
    place = int(np.searchsorted(edges, number, side="right"))
    if place == 0:
        return f"< {edges[0]:g}"
    if place == len(edges):
        return f">= {edges[-1]:g}"
    return f"{edges[place - 1]:g} to {edges[place]:g}"


def _number(value: Any) -> float | None:
    """Returns a value as a number; None if it is none. CSV and exact decimals have texts."""
    if value is None or isinstance(value, bool):
        return None
    if not isinstance(value, int | float | decimal.Decimal | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def by_column(divisions: Sequence[Slice], columns: Mapping[str, Sequence[Any]]) -> dict[str, Masks]:
    """Returns the slices of several columns, by column."""
    return {one.column: rows(one, columns[one.column]) for one in divisions}
