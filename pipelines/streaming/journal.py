"""The stream's memory: which batch was begun, and which are done; it outlives a kill."""

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
"""A smaller journal is never written anew."""

_NAME = "journal.jsonl"
_LOCK = "in-use"
_SOURCE = "source"
_PARTS_A_LINE = 1000


class Journal:
    """Lines of JSON, one for each batch begun and one for each batch done, each on the disk.

    A batch that was begun and not done is done again with the very same parts, so it gives the very
    same files. A line that a kill cut short counts for nothing. A journal that has doubled is
    written anew, whole or not at all, with what must be remembered: it does not grow for ever. See
    `opened`.

    Args:
        folder: Where it lies; None remembers nothing, which is for a log that keeps offsets itself.

    Attributes:
        pending: The batch that was begun and is not done.
        done: Parts that are done, as far as they must be remembered.
        last: The number of the last batch.
        model: The digest of the model that began it; "" where none is known.
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
            atomic.put(path, whole)  # makes the file outlive a power cut, too
        self._size = len(whole)

    def begin(self, parts: tuple[Part, ...], model: str = "") -> Batch:
        """Notes, before anything of it is written, what the next batch is, and of which model."""
        batch = Batch(self.last + 1, parts, model)
        self._append(_begun(batch))
        self._note(batch)
        return batch

    def _note(self, batch: Batch) -> None:
        self.pending, self.last, self.model = batch, batch.number, batch.model

    def finish(self, batch: Batch, counts: dict[str, int]) -> None:
        """Notes that the output of a batch is on the disk."""
        self._append({"done": batch.number, **counts})
        self.pending = None
        if self._path is not None:
            self.done.extend(batch.parts)

    def compact(self, needed: Callable[[Sequence[Part]], Sequence[Part]]) -> None:
        """Writes the journal anew where it has doubled since that was done.

        Args:
            needed: Gives those of the parts done that must not be forgotten.
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
    """Whether a journal was ever opened in the folder."""
    return os.path.lexists(f"{folder}/{_LOCK}")


@contextlib.contextmanager
def opened(folder: str, *written: str) -> Iterator[Journal]:
    """Opens a journal for this process alone, and removes what killed processes left half.

    Args:
        folder: Where it lies.
        written: Other folders into which the process writes.

    Raises:
        OptionsError: Where a living process has it open.
        StorageError: Where it is damaged, or cannot be written.
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
            for one in (folder, *written):
                atomic.remove_stale(one)
        yield Journal(folder)


def pin(folder: str, source: str) -> None:
    """Binds a journal to one source: what it knows of another says nothing.

    Raises:
        OptionsError: Where the folder is of another source.
    """
    path = f"{folder}/{_SOURCE}"
    if atomic.write_new(path, source.encode(errors="surrogateescape")):
        return
    before = atomic.read_bytes(path).decode(errors="surrogateescape")
    if before != source:
        raise OptionsError(
            f"{folder}: is of a stream from {before}, not {source}; choose another sink or state"
        )
