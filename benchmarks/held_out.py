"""Held-out records of a data set: whole groups, drawn anew by each seed."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def held_out(rows: Iterable[Mapping[str, Any]], seed: int, count: int) -> set[str]:
    """The ids of at least `count` records: whole groups, in the order of a digest.

    Args:
        rows: Records with `id` and `group`; without a group a record is one of its own.
        seed: Another one draws other groups.
        count: Groups are taken until this many records are reached.
    """
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(str(row["group"] or row["id"]), []).append(row["id"])
    found: set[str] = set()
    for group in sorted(groups, key=lambda name: _digest(seed, name)):
        if len(found) >= count:
            break
        found.update(groups[group])
    return found


def splits(
    rows: Sequence[Mapping[str, Any]], seed: int, test: int, evaluation: int
) -> dict[str, str]:
    """By id the split of each record: about so many to test, and of the rest to stop by."""
    tested = held_out(rows, seed, test)
    rest = [row for row in rows if row["id"] not in tested]
    chosen = held_out(rest, seed + 1000, evaluation)
    named = {True: "eval", False: "train"}
    return {**dict.fromkeys(tested, "test"), **{r["id"]: named[r["id"] in chosen] for r in rest}}


def _digest(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed} {group}".encode()).digest()
