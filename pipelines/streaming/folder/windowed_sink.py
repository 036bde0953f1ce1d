"""Rows of an unbounded graph -> files by window of event time; late rows make further files."""

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
"""Rows of the largest file; a window that has more gets further files before it ends."""

_UNTIMED = -1

_Slot = tuple[str, int, int]  # kind, the window's first second, shard


@dataclasses.dataclass(frozen=True)
class Files:
    """`FOLDER/scores/window=START/SHARD-DIGEST.FORMAT`, and `rejected` beside `scores`.

    Attributes:
        folder: Where to write.
        settings: What all rows have in common.
        window: Length of the windows of event time, in seconds.
        shards: Files that a window's rows are spread over.
        largest: Rows of the largest file.
    """

    folder: str
    settings: ScoreSchema
    window: int = 60
    shards: int = 1
    largest: int = LARGEST

    def write(self, slot: _Slot, rows: Iterable[tuple[Key, Scored | Rejected]]) -> None:
        """Writes one file, whole. The same rows, in any order, give the same name and bytes.

        A row that was delivered twice stands in it once.

        Raises:
            StorageError: Where it cannot be written.
        """
        kind, start, shard = slot
        found = {_identity(key, row): row for key, row in rows}
        if not found:
            return
        order = sorted(found)
        said = json.dumps([self.settings.provenance.model, order])
        digest = hashlib.sha256(said.encode()).hexdigest()[:12]
        window = window_name(None if start == _UNTIMED else start * 1000, self.window)
        name = f"{shard:05d}-{digest}.{self.settings.format}"
        sorted_rows: list[Any] = [found[identity] for identity in order]
        which: Kind = "scores" if kind == "scores" else "rejected"
        write_window(self.folder, which, window, name, sorted_rows, self.settings)

    def slot(self, kind: Kind, pair: tuple[Key, Scored | Rejected]) -> _Slot:
        """In which file of which window a row belongs."""
        key, row = pair
        time = row.position.event_time
        start = _UNTIMED if time is None else time // 1000 // self.window * self.window
        digest = hashlib.sha256(key.record_id.encode(errors="surrogateescape")).digest()
        return kind, start, int.from_bytes(digest[:8]) % self.shards

    def end(self, slot: _Slot) -> Timestamp:
        """When a file is due."""
        start = slot[1]
        return Timestamp(0 if start == _UNTIMED else start + self.window)


class WriteWindows(beam.PTransform):
    """`Scores` -> files, by window.

    A window's rows are held in the runner's state until the watermark passes its end. What comes
    later is written as soon as the runner lets it: state and timers are those of the global window,
    which never expires, so no row is too late and none is dropped.

    Args:
        files: Where and how.
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
    """Of one record's row: where it was read, and when that was written or sent."""
    position = row.position
    time = _UNTIMED if position.event_time is None else position.event_time
    return position.uri, position.offset, key.record_id, key.model_digest, time
