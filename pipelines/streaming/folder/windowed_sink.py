"""Sink of an unbounded graph: files by window of event time, with further files for late rows."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
from apache_beam.coders import PickleCoder
from apache_beam.transforms import userstate
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.typehints.decorators import no_annotations
from apache_beam.utils.timestamp import Timestamp

from triad_ml.pipelines.scoring.score import Scores
from triad_ml.pipelines.streaming.folder.sink import write_window
from triad_ml.pipelines.streaming.rows import Kind, window_name
from triad_ml.pipelines.tables.keys import Key
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.records.values import Rejected, Scored

LARGEST = 65_536
"""Most rows in a file; a window with more rows gets further files before it ends."""

_UNTIMED = -1

_Slot = tuple[str, int, int]  # kind, the window's first second, shard


@dataclasses.dataclass(frozen=True)
class Files:
    """Writer of files `FOLDER/scores/window=START/SHARD-DIGEST.FORMAT`; likewise `FOLDER/rejected`.

    Attributes:
        folder: Folder of the sink.
        settings: Common properties of all rows.
        window: Length of the windows of event time, in seconds.
        shards: Number of files over which a window's rows are spread.
        largest: Most rows in a file.
    """

    folder: str
    settings: ScoreSchema
    window: int = 60
    shards: int = 1
    largest: int = LARGEST

    def write(self, slot: _Slot, rows: Iterable[tuple[Key, Scored | Rejected]]) -> None:
        """Writes one file atomically; its name and bytes do not depend on the order of the rows.

        A row that was delivered twice is written once.

        Args:
            slot: Kind of rows, window and shard.
            rows: Rows with their keys.

        Raises:
            StorageError: If it cannot be written.
        """
        kind, start, shard = slot
        distinct = {_identity(key, row): row for key, row in rows}
        if not distinct:
            return
        order = sorted(distinct)
        content = json.dumps([self.settings.provenance.model, order])
        digest = hashlib.sha256(content.encode()).hexdigest()[:12]
        window = window_name(None if start == _UNTIMED else start * 1000, self.window)
        name = f"{shard:05d}-{digest}.{self.settings.format}"
        sorted_rows: list[Any] = [distinct[identity] for identity in order]
        checked: Kind = "scores" if kind == "scores" else "rejected"
        write_window(self.folder, checked, window, name, sorted_rows, self.settings)

    def slot(self, kind: Kind, pair: tuple[Key, Scored | Rejected]) -> _Slot:
        """Returns the slot of a row: its kind, the first second of its window, and its shard."""
        key, row = pair
        time = row.position.event_time
        start = _UNTIMED if time is None else time // 1000 // self.window * self.window
        digest = hashlib.sha256(key.record_id.encode(errors="surrogateescape")).digest()
        return kind, start, int.from_bytes(digest[:8]) % self.shards

    def end(self, slot: _Slot) -> Timestamp:
        """Returns the end of a slot's window, after which its file is written."""
        start = slot[1]
        return Timestamp(0 if start == _UNTIMED else start + self.window)


class WriteWindows(beam.PTransform):
    """Writes `Scores` to files, by window.

    A window's rows are held in the runner's state until the watermark passes the window's end. A
    later row is written as soon as the runner fires its timer: state and timers are in the global
    window, which never expires, so no late row is dropped.

    Args:
        files: Writer of the files.
    """

    def __init__(self, files: Files) -> None:
        super().__init__()
        self._files = files

    @no_annotations
    def expand(self, scores: Scores) -> Any:
        slots = {
            kind: rows
            | f"Slots-{kind}"
            >> beam.Map(_with_slot, kind, self._files).with_output_types(tuple[_Slot, Any])
            for kind, rows in (("scores", scores.scored), ("rejected", scores.rejected))
        }
        return slots.values() | beam.Flatten() | "Write" >> beam.ParDo(_WriteDoFn(self._files))


def _with_slot(
    pair: tuple[Key, Scored | Rejected], kind: Kind, files: Files
) -> tuple[_Slot, tuple[Key, Scored | Rejected]]:
    return files.slot(kind, pair), pair


_DUE = userstate.TimerSpec("due", TimeDomain.WATERMARK)
_Rows: Any = beam.DoFn.StateParam(userstate.BagStateSpec("rows", PickleCoder()))
_Count: Any = beam.DoFn.StateParam(userstate.CombiningValueStateSpec("count", combine_fn=sum))
_Due: Any = beam.DoFn.TimerParam(_DUE)


class _WriteDoFn(beam.DoFn):
    def __init__(self, files: Files) -> None:
        self._files = files

    @no_annotations
    def process(
        self,
        element: tuple[_Slot, tuple[Key, Scored | Rejected]],
        rows: Any = _Rows,
        count: Any = _Count,
        due: Any = _Due,
    ) -> None:
        slot, pair = element
        rows.add(pair)
        count.add(1)
        if count.read() >= self._files.largest:
            self._write(slot, rows, count)
        else:
            due.set(self._files.end(slot))

    @userstate.on_timer(_DUE)
    def on_due(
        self,
        slot: Any = beam.DoFn.KeyParam,
        rows: Any = _Rows,
        count: Any = _Count,
    ) -> None:
        self._write(slot, rows, count)

    def _write(self, slot: _Slot, rows: Any, count: Any) -> None:
        self._files.write(slot, rows.read())
        rows.clear()
        count.clear()


def _identity(key: Key, row: Scored | Rejected) -> tuple[str, int, str, str, int]:
    """Returns the identity of a row: the record's position, key and event time."""
    position = row.position
    time = _UNTIMED if position.event_time is None else position.event_time
    return position.uri, position.offset, key.record_id, key.model_digest, time
