"""Sink of micro-batches: files of scores and rejected records by window, written atomically."""

import collections
import dataclasses
from collections.abc import Sequence
from typing import TypeVar, cast, get_args

from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.streaming import journal
from triad_ml.pipelines.streaming.folder import sink_columns
from triad_ml.pipelines.streaming.interfaces import Written
from triad_ml.pipelines.streaming.rows import Kind, _placed, rejected_table, window_name
from triad_ml.pipelines.streaming.settings import MEMORY
from triad_ml.pipelines.tables import formats
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.records.values import Rejected, Scored

_WINDOW = "window="


_Row = TypeVar("_Row", Scored, Rejected)


def is_sink(folder: str) -> bool:
    """Returns True if a stream wrote into the folder: it has a journal, columns or windows."""
    if journal.is_in(f"{folder}/{MEMORY}"):
        return True
    if atomic.list_files(f"{folder}/{sink_columns.FOLDER}"):
        return True
    below = [path for kind in get_args(Kind) for path in atomic.list_folders(f"{folder}/{kind}")]
    return any(path.rstrip("/").rpartition("/")[2].startswith(_WINDOW) for path in below)


@dataclasses.dataclass(frozen=True)
class FileSink:
    """Sink of files `FOLDER/scores/window=START/BATCH-DIGEST.FORMAT`; likewise `FOLDER/rejected`.

    A repeated batch has the same file names and rows, so it replaces its files. All files have one
    schema, see `sink_columns.table`.

    Attributes:
        folder: Folder of the sink.
        settings: Common properties of all rows.
        window: Length of the windows of event time, in seconds.
    """

    folder: str
    settings: ScoreSchema
    window: int = 60

    def write(
        self, number: int, digest: str, scored: Sequence[Scored], rejected: Sequence[Rejected]
    ) -> Written:
        """Writes one file for each window that has records; each file appears atomically.

        Raises:
            StorageError: If a file cannot be written.
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
    settings: ScoreSchema,
) -> None:
    """Writes the file `FOLDER/KIND/window=WINDOW/NAME`, which appears atomically.

    Raises:
        StorageError: If it cannot be written.
    """
    if kind == "scores":
        scored = cast(Sequence[Scored], rows)
        table = _placed(sink_columns.table(folder, scored, settings), scored)
    else:
        table = rejected_table(cast(Sequence[Rejected], rows), settings)
    formats.write(table, f"{folder}/{kind}/{_WINDOW}{window}/{name}", settings.format)


def _by_window(rows: Sequence[_Row], seconds: int) -> dict[str, list[_Row]]:
    windows: dict[str, list[_Row]] = collections.defaultdict(list)
    for row in sorted(rows, key=lambda row: (row.position.uri, row.position.offset)):
        windows[window_name(row.position.event_time, seconds)].append(row)
    return windows
