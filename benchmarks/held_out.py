"""Held-out records of a data set: whole groups, drawn by a seed."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def held_out(rows: Iterable[Mapping[str, Any]], seed: int, count: int) -> set[str]:
    """Returns the ids of at least `count` records: whole groups, in the order of a digest.

    Args:
        rows: Records with `id` and `group`; a record without a group is a group by itself.
        seed: Seed of the draw.
        count: Number of records at which no further group is taken.
    """
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(str(row["group"] or row["id"]), []).append(row["id"])
    ids: set[str] = set()
    for group in sorted(groups, key=lambda name: _digest(seed, name)):
        if len(ids) >= count:
            break
        ids.update(groups[group])
    return ids


def splits(
    rows: Sequence[Mapping[str, Any]], seed: int, test: int, evaluation: int
) -> dict[str, str]:
    """Returns the split of each record by id.

    Args:
        rows: Records with `id` and `group`.
        seed: Seed of the draw.
        test: Approximate number of records in the test split.
        evaluation: Approximate number of records in the eval split, by which training stops.
    """
    tested = held_out(rows, seed, test)
    rest = [row for row in rows if row["id"] not in tested]
    chosen = held_out(rest, seed + 1000, evaluation)
    named = {True: "eval", False: "train"}
    return {**dict.fromkeys(tested, "test"), **{r["id"]: named[r["id"] in chosen] for r in rest}}


def _digest(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed} {group}".encode()).digest()
