"""Statistics and drift as tables for the terminal, and as JSON."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import Any

import rich.console
import rich.table
import rich.text

from triad_ml.pipelines.monitoring.comparison import Row, Side
from triad_ml.pipelines.runtime import logs
from triad_ml.pipelines.scoring.statistics_file import Opened
from triad_ml.transforms.statistics.drift import Distance, Finding

_SPARKS = "▁▂▃▄▅▆▇█"


def statistics(sides: Sequence[Side], rows: Sequence[Row]) -> rich.table.Table:
    """Returns a table of one or two statistics, with a row for each feature."""
    table = rich.table.Table(title=" and ".join(map(_size, sides)), title_justify="left")
    table.add_column("feature", overflow="fold")
    names = [side.name for side in sides]
    for name in names if len(names) == 1 else ("A", "B"):
        table.add_column(_plain(name), overflow="fold")
    if len(sides) == 2:
        table.add_column("beyond chance", justify="right")
    for row in rows:
        feature = f"{row.feature}, {row.unit}" if row.unit else row.feature
        cells = [feature, *map(_figures, row.figures, row.counts, range(len(sides)), [row] * 2)]
        if len(sides) == 2:
            cells.append(_beyond(row.distance))
        table.add_row(*map(_plain, cells))
    return table


def drift(distances: Sequence[Distance], found: Sequence[Finding]) -> rich.table.Table:
    """Returns a table of the features that drift, the largest drift first."""
    table = rich.table.Table(
        title=f"{len(found)} of {len(distances)} features drift", title_justify="left"
    )
    for name in ("feature", "before", "now", "distance", "beyond chance", "limit"):
        table.add_column(name, justify="left" if name == "feature" else "right", overflow="fold")
    for one in found:
        before, now = map(_share if one.found.value else _number, one.found.shares)
        value = f" {one.found.value}" if one.found.value else ""
        distance = f"{one.found.distance:.3f}"
        beyond = "vanished" if one.found.vanished else f"{one.found.beyond:.3f}"
        cells = (f"{one.found.feature}{value}", before, now, distance, beyond, f"{one.limit:g}")
        table.add_row(*map(_plain, cells))
    return table


def show(table: rich.table.Table) -> None:
    """Prints a table, without cutting it where the output is no terminal."""
    wide = None if sys.stdout.isatty() else 160
    rich.console.Console(highlight=False, width=wide).print(table)


def statistics_json(opened: Sequence[Opened], rows: Sequence[Row]) -> str:
    """Returns whole statistics, and the distances of two, as JSON on one line."""
    whole: dict[str, Any] = {
        "statistics": [{"name": one.name, **dataclasses.asdict(one.statistics)} for one in opened],
        "distances": [row.distance._asdict() for row in rows if row.distance is not None],
    }
    return json.dumps(whole, ensure_ascii=False)


def drift_json(distances: Sequence[Distance], found: Sequence[Finding]) -> str:
    """Returns all distances and the features that drift as JSON on one line."""
    whole = {
        "drifts": [{**one.found._asdict(), "limit": one.limit} for one in found],
        "distances": [one._asdict() for one in distances],
    }
    return json.dumps(whole, ensure_ascii=False)


def _size(side: Side) -> str:
    return f"{side.name}: {side.part.records} records, {side.part.sampled} sampled"


def _figures(text: str, count: int, side: int, row: Row) -> str:
    if not text:
        return "-"
    if not row.unit:
        return f"{text} (n {count})"
    return f"{text} (n {count}) {_sparks([bar.shares[side] or 0 for bar in row.bars])}"


def _sparks(shares: Sequence[float]) -> str:
    """Draws shares as a line of blocks, the largest as a whole block."""
    most = max(shares, default=0) or 1
    return "".join(
        _SPARKS[round(share / most * (len(_SPARKS) - 1))] if share else " " for share in shares
    )


def _beyond(distance: Distance | None) -> str:
    if distance is None:
        return "-"
    return "vanished" if distance.vanished else f"{distance.beyond:.3f}"


def _share(share: float) -> str:
    return f"{share:.1%}"


def _number(mean: float) -> str:
    return f"{mean:.4g}"


def _plain(text: str) -> rich.text.Text:
    """Returns plain text, without markup of rich or control characters."""
    return rich.text.Text(logs.printable(text))
