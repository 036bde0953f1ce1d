"""Journal of a stream: a write-ahead log of the batches begun and done, which survives a kill."""

import contextlib
import dataclasses
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.streaming.interfaces import Batch, Part
from triad_ml.transforms.errors import OptionsError, StorageError

COMPACT_BYTES = 2**20
"""Size in bytes below which a journal is never compacted."""

_NAME = "journal.jsonl"
_LOCK = "in-use"
_SOURCE = "source"
_PARTS_A_LINE = 1000


class Journal:
    """Lines of JSON, one for each batch begun and one for each batch done, each synced to disk.

    A batch that was begun and not done is repeated with exactly the same parts, so it writes
    exactly the same files. A line that a kill cut short is ignored. A journal that has doubled in
    size is compacted atomically to the parts that must be remembered, so it does not grow forever.
    See `opened`.

    Args:
        folder: Folder of the journal. None keeps no journal, for a source that keeps its offsets
            itself.

    Attributes:
        pending: Batch that was begun and is not done.
        done: Parts that are done, as far as they must be remembered.
        last: Number of the last batch.
        model: Digest of the model with which the last batch began; "" if unknown.
    """

    def __init__(self, folder: str | None) -> None:
        self._path = None if folder is None else f"{folder}/{_NAME}"
        self.pending: Batch | None = None
        self.done: list[Part] = []
        self.last = 0
        self.model = ""
        self._size = self._compacted = 0
        if self._path is not None:
            self._read(self._path)

    def _read(self, path: str) -> None:
        content = atomic.read_if_there(path) or b""
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), start=1):
            self._replay(number, line)
        if not content or whole != content:
            atomic.put(path, whole)  # makes the file survive a power cut, too
        self._size = len(whole)

    def begin(self, parts: tuple[Part, ...], model: str = "") -> Batch:
        """Notes the next batch and its model; called before any output of it is written."""
        batch = Batch(self.last + 1, parts, model)
        self._append(_begun(batch))
        self._note(batch)
        return batch

    def _note(self, batch: Batch) -> None:
        self.pending, self.last, self.model = batch, batch.number, batch.model

    def finish(self, batch: Batch, counts: dict[str, int]) -> None:
        """Notes that a batch's output is on the disk."""
        self._append({"done": batch.number, **counts})
        self.pending = None
        if self._path is not None:
            self.done.extend(batch.parts)

    def compact(self, needed: Callable[[Sequence[Part]], Sequence[Part]]) -> None:
        """Rewrites the journal if its size has doubled since the last compaction.

        Args:
            needed: Function that returns those of the done parts that must be remembered.
        """
        if self._path is None or self._size < max(COMPACT_BYTES, 2 * self._compacted):
            return
        self.done = list(needed(self.done))
        lines = [_line({"last": self.last, "model": self.model})]
        for start in range(0, len(self.done), _PARTS_A_LINE):
            kept = self.done[start : start + _PARTS_A_LINE]
            lines.append(_line({"kept": [dataclasses.asdict(part) for part in kept]}))
        if self.pending is not None:
            lines.append(_line(_begun(self.pending)))
        content = b"".join(lines)
        atomic.put(self._path, content)
        self._size = self._compacted = len(content)

    def _append(self, fields: dict[str, Any]) -> None:
        if self._path is None:
            return
        line = _line(fields)
        with atomic.explained(self._path), open(self._path, "ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._size += len(line)

    def _replay(self, number: int, line: bytes) -> None:
        try:
            fields = json.loads(line)
            if "begin" in fields:
                parts = tuple(map(Part.from_json, fields["parts"]))
                self._note(Batch(int(fields["begin"]), parts, str(fields.get("model", ""))))
                return
            if "last" in fields:
                self.last, self.model = int(fields["last"]), str(fields.get("model", ""))
                return
            if "kept" in fields:
                self.done.extend(map(Part.from_json, fields["kept"]))
                return
            if self.pending is None or int(fields["done"]) != self.pending.number:
                raise ValueError("a batch is done that was not begun")
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"{self._path}: line {number} is damaged; restore the file or choose a new sink"
            ) from error
        self.done.extend(self.pending.parts)
        self.pending = None


def _begun(batch: Batch) -> dict[str, Any]:
    parts = [dataclasses.asdict(part) for part in batch.parts]
    return {"begin": batch.number, "parts": parts} | ({"model": batch.model} if batch.model else {})


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def is_in(folder: str) -> bool:
    """Returns True if a journal was ever opened in the folder."""
    return os.path.lexists(f"{folder}/{_LOCK}")


@contextlib.contextmanager
def opened(folder: str, *written: str) -> Iterator[Journal]:
    """Opens a journal for this process alone, and removes partial files of killed processes.

    Args:
        folder: Folder of the journal.
        written: Other folders into which the process writes.

    Raises:
        OptionsError: If a running process has it open.
        StorageError: If it is damaged or cannot be written.
    """
    with contextlib.ExitStack() as stack:
        with atomic.explained(folder):
            os.makedirs(folder, exist_ok=True)
            lock = stack.enter_context(open(f"{folder}/{_LOCK}", "ab"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OptionsError(
                    f"{folder}: another stream writes here; end it, or choose another sink"
                ) from error
            for path in (folder, *written):
                atomic.remove_stale(path)
        yield Journal(folder)


def pin(folder: str, source: str) -> None:
    """Binds a journal to one source, since its parts mean nothing for another.

    Raises:
        OptionsError: If the journal is bound to another source.
    """
    path = f"{folder}/{_SOURCE}"
    if atomic.write_new(path, source.encode(errors="surrogateescape")):
        return
    before = atomic.read_bytes(path).decode(errors="surrogateescape")
    if before != source:
        raise OptionsError(
            f"{folder}: is of a stream from {before}, not {source}; choose another sink or state"
        )
