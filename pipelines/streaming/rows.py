"""Rows of a stream: scored and rejected records with position and event time."""

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any, Literal

import pyarrow as pa

from triad_ml.pipelines.tables import formats, json_rows, passthrough
from triad_ml.pipelines.tables import rows as tables_rows
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.records.values import Reason, Rejected, Scored

Kind = Literal["scores", "rejected"]
"""Kind of rows; also the name of their folder in a sink's folder."""


_FIRST_SECOND = -62_135_596_800  # start of year 1; Python's calendar has no earlier second


_SHORT = 100
"""Number of characters that `shortened` keeps of a detail."""


def scored_table(scored: Sequence[Scored], settings: ScoreSchema) -> pa.Table:
    """Returns the columns of `tables.rows.score_table`, with position and event time."""
    return _placed(settings.score_table(scored), scored)


def scored_lines(scored: Sequence[Scored], settings: ScoreSchema) -> list[bytes]:
    """Returns rows for a topic as JSON: scores, passthrough values, position and event time."""
    bare = scored_table([dataclasses.replace(row, extra={}) for row in scored], settings)
    last = json_rows.rows(bare.select([tables_rows.POSITION, tables_rows.EVENT_TIME]))
    rows = zip(_rows(scored, settings), last, strict=True)
    return [json_rows.line({**row, **placed}).encode() for row, placed in rows]


def _rows(scored: Sequence[Scored], settings: ScoreSchema) -> list[dict[str, Any]]:
    """Returns rows of a topic as JSON objects; each has only the record's own passthrough values.

    The type of a value depends on no other row. A number is a number, except that decimals and
    numbers of more than 64 bits are strings. Times are ISO 8601 strings, bytes are base64, and
    lists and mappings are strings of JSON.
    """
    bare = settings.score_table([dataclasses.replace(row, extra={}) for row in scored])
    return [
        {**fixed, **_own(row, settings)}
        for fixed, row in zip(json_rows.rows(bare), scored, strict=True)
    ]


def _own(row: Scored, settings: ScoreSchema) -> dict[str, Any]:
    named = sorted((tables_rows.extra_name(key, settings.columns)[0], key) for key in row.extra)
    return {name: passthrough.json_of(row.extra[key]) for name, key in named}


def rejected_lines(rejected: Sequence[Rejected], settings: ScoreSchema) -> list[bytes]:
    """Returns rows for a topic of rejected records, as lines of JSON."""
    return formats.encode(rejected_table(rejected, settings), "jsonl").split(b"\n")[:-1]


def rejected_table(rejected: Sequence[Rejected], settings: ScoreSchema) -> pa.Table:
    """Returns the columns of `tables.rows.rejected_table`, with the event time."""
    return _timed(tables_rows.rejected_table(rejected, settings.provenance), rejected)


def too_large_row(row: Scored, size: int) -> Rejected:
    """Returns the rejected record for a score whose row of `size` bytes no topic accepts."""
    return Rejected(
        row.id,
        row.position,
        "publish",
        Reason.TOO_LARGE,
        f"its row has {size} bytes",
        row.content_digest,
        row.model_digest,
    )


def shortened(row: Rejected) -> Rejected:
    """Returns a rejected record with its detail cut, for topics that accept no longer row."""
    return dataclasses.replace(row, detail=row.detail[:_SHORT])


def _placed(table: pa.Table, scored: Sequence[Scored]) -> pa.Table:
    positions = pa.array([str(row.position) for row in scored], pa.string())
    return _timed(table.append_column(tables_rows.POSITION, positions), scored)


def _timed(table: pa.Table, rows: Sequence[Scored | Rejected]) -> pa.Table:
    times = pa.array([row.position.event_time for row in rows], pa.timestamp("ms", "UTC"))
    return table.append_column(tables_rows.EVENT_TIME, times)


def window_name(event_time: int | None, seconds: int) -> str:
    """Returns the start of the window of a time in milliseconds, such as `20261125T223000Z`.

    Without a time, returns `none`.
    """
    if event_time is None:
        return "none"
    start = max(event_time // 1000 // seconds * seconds, _FIRST_SECOND)
    moment = datetime.datetime.fromtimestamp(start, datetime.UTC)
    return f"{moment.year:04d}{moment:%m%dT%H%M%SZ}"  # %Y would give year 1 one digit
