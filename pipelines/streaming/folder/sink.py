"""Scores and rejected records of a micro-batch -> files by window, whole or not at all."""

import collections
import dataclasses
import datetime
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, TypeVar, cast, get_args

import pyarrow as pa

from triad_ml.pipelines import stream_runners
from triad_ml.pipelines.publishing.run_folder import RunSettings
from triad_ml.pipelines.storage import atomic, outputs
from triad_ml.pipelines.streaming import config as streaming_config
from triad_ml.pipelines.streaming import journal, metrics
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.folder import sink_columns
from triad_ml.pipelines.tables import json_rows
from triad_ml.pipelines.tables import rows as tables_rows
from triad_ml.transforms.records.values import Reason, Rejected, Scored

Kind = Literal["scores", "rejected"]
"""The folders in a sink's."""

_WINDOW = "window="

_FIRST_SECOND = -62_135_596_800  # of year 1: no calendar here has an earlier one

_SHORT = 100
"""Characters of a detail that is cut."""

_Row = TypeVar("_Row", Scored, Rejected)


def check_outputs(config: StreamConfig) -> None:
    """Refuses folders, and a file of metrics, in whose place something of the user's is.

    A sink shows that it is one by the stream's memory, by its columns, or by windows of rows. What
    Flink keeps lies in a folder of its own in `--state`, whatever else is there.

    Raises:
        OptionsError: Naming something that is there.
        StorageError: Where a folder cannot be listed.
    """
    if not streaming_config.is_topic(config.sink):
        sink = config.sink.rstrip("/")
        outputs.check_folder(sink, "stream", lambda: _is_sink(sink), flag="--sink")
    state = config.state
    if state is not None and stream_runners.name(config) == stream_runners.LOCAL:
        outputs.check_folder(state, "stream", lambda: journal.is_in(state), flag="--state")
    if config.metrics is not None:
        outputs.check_file(config.metrics, metrics.MARK, "file of metrics", "--metrics")


def _is_sink(folder: str) -> bool:
    if journal.is_in(f"{folder}/{streaming_config.MEMORY}"):
        return True
    if atomic.list_files(f"{folder}/{sink_columns.FOLDER}"):
        return True
    below = [path for kind in get_args(Kind) for path in atomic.list_folders(f"{folder}/{kind}")]
    return any(path.rstrip("/").rpartition("/")[2].startswith(_WINDOW) for path in below)


class Written(NamedTuple):
    """What really became of the records of a batch.

    Attributes:
        scored: Those whose scores were written.
        rejected: All others; among them scores that were too large to be written.
    """

    scored: Sequence[Scored]
    rejected: Sequence[Rejected]


class Sink(Protocol):
    """Takes what a batch gave; what it returns is durable."""

    def write(
        self, number: int, digest: str, scored: Sequence[Scored], rejected: Sequence[Rejected]
    ) -> Written: ...


@dataclasses.dataclass(frozen=True)
class FileSink:
    """`FOLDER/scores/window=START/BATCH-DIGEST.FORMAT`, and `rejected` beside `scores`.

    The same batch gives the same names and the same rows: doing it again replaces its files. All
    files have one schema, see `sink_columns.table`.

    Attributes:
        folder: Where to write.
        settings: What all rows have in common.
        window: Length of the windows of event time, in seconds.
    """

    folder: str
    settings: RunSettings
    window: int = 60

    def write(
        self, number: int, digest: str, scored: Sequence[Scored], rejected: Sequence[Rejected]
    ) -> Written:
        """Writes one file for each window that has records; each appears whole.

        Raises:
            StorageError: Where one cannot be written.
        """
        name = f"{number:08d}-{digest}.{self.settings.format}"
        for window, rows in _by_window(scored, self.window).items():
            write_window(self.folder, "scores", window, name, rows, self.settings)
        for window, refused in _by_window(rejected, self.window).items():
            write_window(self.folder, "rejected", window, name, refused, self.settings)
        return Written(scored, rejected)


def write_window(
    folder: str,
    kind: Kind,
    window: str,
    name: str,
    rows: Sequence[Scored] | Sequence[Rejected],
    settings: RunSettings,
) -> None:
    """Writes `FOLDER/KIND/window=WINDOW/NAME`, which appears whole.

    Raises:
        StorageError: Where it cannot be written.
    """
    if kind == "scores":
        scored = cast(Sequence[Scored], rows)
        table = _placed(sink_columns.table(folder, scored, settings), scored)
    else:
        table = rejected_table(cast(Sequence[Rejected], rows), settings)
    tables_rows.write(table, f"{folder}/{kind}/{_WINDOW}{window}/{name}", settings.format)


def scored_table(scored: Sequence[Scored], settings: RunSettings) -> pa.Table:
    """See `sinks.score_table`; and where each record came from, and when."""
    return _placed(settings.score_table(scored), scored)


def scored_lines(scored: Sequence[Scored], settings: RunSettings) -> list[bytes]:
    """Rows for a topic, see `sink_columns.rows`; with where each record came from, and when."""
    bare = scored_table([dataclasses.replace(row, extra={}) for row in scored], settings)
    last = json_rows.rows(bare.select([tables_rows.POSITION, tables_rows.EVENT_TIME]))
    rows = zip(sink_columns.rows(scored, settings), last, strict=True)
    return [json_rows.line({**row, **placed}).encode() for row, placed in rows]


def rejected_lines(rejected: Sequence[Rejected], settings: RunSettings) -> list[bytes]:
    """Rows for a topic of rejected records."""
    return tables_rows.encode(rejected_table(rejected, settings), "jsonl").split(b"\n")[:-1]


def rejected_table(rejected: Sequence[Rejected], settings: RunSettings) -> pa.Table:
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


def _by_window(rows: Sequence[_Row], seconds: int) -> dict[str, list[_Row]]:
    found: dict[str, list[_Row]] = collections.defaultdict(list)
    for row in sorted(rows, key=lambda row: (row.position.uri, row.position.offset)):
        found[window_name(row.position.event_time, seconds)].append(row)
    return found


def window_name(event_time: int | None, seconds: int) -> str:
    """The start of the window that a time in milliseconds is in, such as `20261125T223000Z`."""
    if event_time is None:
        return "none"
    start = max(event_time // 1000 // seconds * seconds, _FIRST_SECOND)
    moment = datetime.datetime.fromtimestamp(start, datetime.UTC)
    return f"{moment.year:04d}{moment:%m%dT%H%M%SZ}"  # %Y would give year 1 one digit
