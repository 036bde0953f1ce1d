"""Rows of a stream: scored and rejected records with position and time."""

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
"""The folders in a sink's."""


_FIRST_SECOND = -62_135_596_800  # of year 1: no calendar here has an earlier one


_SHORT = 100
"""Characters of a detail that is cut."""


def scored_table(scored: Sequence[Scored], settings: ScoreSchema) -> pa.Table:
    """See `rows.score_table`; and where each record came from, and when."""
    return _placed(settings.score_table(scored), scored)


def scored_lines(scored: Sequence[Scored], settings: ScoreSchema) -> list[bytes]:
    """Rows for a topic as JSON: passthrough values, and where each record came from, and when."""
    bare = scored_table([dataclasses.replace(row, extra={}) for row in scored], settings)
    last = json_rows.rows(bare.select([tables_rows.POSITION, tables_rows.EVENT_TIME]))
    rows = zip(_rows(scored, settings), last, strict=True)
    return [json_rows.line({**row, **placed}).encode() for row, placed in rows]


def _rows(scored: Sequence[Scored], settings: ScoreSchema) -> list[dict[str, Any]]:
    """Rows of a topic as JSON has them: each has its own passthrough values, and no other keys.

    What a value is depends on no other row: a number is a number unless it is a decimal or of more
    than 64 bits, which are texts; times are ISO 8601, bytes base64, lists and mappings JSON texts.
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
    """Rows for a topic of rejected records."""
    return formats.encode(rejected_table(rejected, settings), "jsonl").split(b"\n")[:-1]


def rejected_table(rejected: Sequence[Rejected], settings: ScoreSchema) -> pa.Table:
    """See `sinks.rejected_table`; and when each record was sent or written."""
    return _timed(tables_rows.rejected_table(rejected, settings.provenance), rejected)


def too_large_row(row: Scored, size: int) -> Rejected:
    """What becomes of a record whose score no topic takes: its row has `size` bytes."""
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
    """The row of a rejected record without what may be long: for topics that take no more."""
    return dataclasses.replace(row, detail=row.detail[:_SHORT])


def _placed(table: pa.Table, scored: Sequence[Scored]) -> pa.Table:
    places = pa.array([str(row.position) for row in scored], pa.string())
    return _timed(table.append_column(tables_rows.POSITION, places), scored)


def _timed(table: pa.Table, rows: Sequence[Scored | Rejected]) -> pa.Table:
    times = pa.array([row.position.event_time for row in rows], pa.timestamp("ms", "UTC"))
    return table.append_column(tables_rows.EVENT_TIME, times)


def window_name(event_time: int | None, seconds: int) -> str:
    """The start of the window that a time in milliseconds is in, such as `20261125T223000Z`."""
    if event_time is None:
        return "none"
    start = max(event_time // 1000 // seconds * seconds, _FIRST_SECOND)
    moment = datetime.datetime.fromtimestamp(start, datetime.UTC)
    return f"{moment.year:04d}{moment:%m%dT%H%M%SZ}"  # %Y would give year 1 one digit
