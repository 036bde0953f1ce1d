"""A watched folder: its records files, or its media files matched by name, as they arrive."""

import collections
import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pipelines import sources, storage, units
from pipelines.sources import fields
from pipelines.streaming.batches import Item, Part
from transforms.errors import OptionsError
from transforms.records import Position, RawRecord, Reason, Rejected, Uri

MEDIA_SUFFIXES: Mapping[str, str] = {
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"), "image"),
    **dict.fromkeys((".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".au"), "audio"),
    ".txt": "text",
}
"""The modality of a media file, by the end of its name in any case."""

BATCH_BYTES = 8 * 2**20
BATCH_PARTS = 256

REMEMBERED = 100_000
"""Parts of files that are gone: so many of the last ones are remembered, should they come back."""

_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", "~")


class _File(NamedTuple):
    """A file as it was listed; `name` is relative to the folder."""

    name: str
    size: int
    changed: int

    @property
    def version(self) -> str:
        return f"{self.size}-{self.changed}"


@dataclasses.dataclass
class Folder:
    """The files of a folder and below it; each version of a file is given out once.

    A file is ready when it has not changed for `settle` seconds. One that changes later is read
    again, whole. Names that begin with a dot or an underscore, or end as unfinished files do, are
    passed over: writers should write under such a name and rename.

    Attributes:
        path: Of the folder.
        media_files: Whether the files are media, those of one record having one name up to the
            suffix, which is its id. A second picture of one name, or sound, or text, is a record
            of its own, by its whole name. Else they are records files, see `units.SUFFIXES`.
        unit_records: About how many records of one file go into one batch.
        settle: In seconds.
        given: Parts given out in the past.
        clock: Seconds since 1970.
    """

    path: str
    media_files: bool = False
    unit_records: int = 1024
    settle: float = 2.0
    given: Sequence[Part] = ()
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        if not os.path.isdir(self.path):
            raise OptionsError(f"--source: {self.path}: is no folder; make it, or name another")
        self._given = set(map(_identity, self.given))
        self._seen: dict[str, tuple[str, float]] = {}
        self._finished: dict[str, str] = {}
        self._unsettled = False
        self._more = False

    @property
    def pause(self) -> float:
        return max(self.settle, 0.1)

    def poll(self) -> tuple[Part, ...]:
        parts: list[Part] = []
        size = 0
        self._more = False
        for found, bytes_ in self._ready():
            left = [part for part in found if _identity(part) not in self._given]
            if not left:
                self._finished[found[0].source] = found[0].version
            for part in left:
                alone = len(found) > 1  # a large file's parts are batches of their own
                full = len(parts) >= BATCH_PARTS or size >= BATCH_BYTES
                if full or (alone and parts):
                    self._more = True
                    break
                parts.append(part)
                size += BATCH_BYTES if alone else bytes_
            if self._more:
                break
        return tuple(parts)

    def items(self, parts: Sequence[Part], labels: Sequence[str]) -> Sequence[Item]:
        names = tuple(labels)
        return [
            MediaItem(self.path, part) if part.media else RecordsItem(self.path, part, names)
            for part in parts
        ]

    def unchanged(self, parts: Sequence[Part]) -> tuple[Part, ...]:
        return tuple(part for part in parts if self._version(part) == part.version)

    def done(self, parts: Sequence[Part]) -> None:
        self._given.update(map(_identity, parts))

    def remember(self, parts: Sequence[Part]) -> Sequence[Part]:
        """Those of files that are there as they were, and the last ones of others."""
        there = set(self.unchanged(parts))
        gone = [part for part in parts if part not in there]
        kept = there.union(gone[-REMEMBERED:])
        self._given = set(map(_identity, kept))
        return [part for part in parts if part in kept]

    def is_drained(self) -> bool:
        return not (self._unsettled or self._more)

    def close(self) -> None:
        pass

    def _ready(self) -> Iterator[tuple[Sequence[Part], int]]:
        """The parts of each file or record that has settled, and its bytes."""
        self._unsettled = False
        groups = self._groups()
        self._seen = {name: seen for name, seen in self._seen.items() if name in groups}
        self._finished = {n: version for n, version in self._finished.items() if n in groups}
        for name, files in groups.items():
            if self._finished.get(name) == _version(files):
                continue
            if not self._settled(name, files):
                self._unsettled = True
                continue
            total = sum(file.size for file in files)
            yield (self._media(name, files) if self.media_files else self._units(files[0])), total

    def _groups(self) -> dict[str, list[_File]]:
        """Files by the name of what they give, in order: themselves, or records of media."""
        groups: dict[str, list[_File]] = collections.defaultdict(list)
        for file in self._list():
            stem, suffix = os.path.splitext(file.name)
            if not self.media_files:
                if file.name.lower().endswith(units.SUFFIXES):
                    groups[file.name] = [file]
            elif suffix.lower() in MEDIA_SUFFIXES:
                taken = any(_modality(other) == _modality(file) for other in groups.get(stem, ()))
                groups[file.name if taken else stem].append(file)
        return dict(groups)

    def _list(self) -> list[_File]:
        found = []
        with storage.explained(self.path):
            for parent, folders, names in os.walk(self.path, onerror=_raise):
                folders[:] = sorted(name for name in folders if name[0] not in "._")
                for name in names:
                    if name[0] in "._" or name.lower().endswith(_UNFINISHED):
                        continue
                    file = self._stat(os.path.relpath(os.path.join(parent, name), self.path))
                    if file is not None:
                        found.append(file)
        return sorted(found)

    def _stat(self, name: str) -> _File | None:
        path = os.path.join(self.path, name)
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return None
        return _File(name, status.st_size, status.st_mtime_ns) if os.path.isfile(path) else None

    def _settled(self, name: str, files: Sequence[_File]) -> bool:
        version = _version(files)
        now = self.clock()
        if max(file.changed for file in files) / 1e9 <= now - self.settle:
            return True
        before, since = self._seen.get(name, ("", now))
        if before != version:  # a clock elsewhere may be ahead of ours: look for ourselves
            self._seen[name] = (version, now)
            return self.settle <= 0
        return now - since >= self.settle

    def _units(self, file: _File) -> Sequence[Part]:
        path = os.path.join(self.path, file.name)
        listed = units.InputFile(path, file.size, file.version)
        try:
            planned = units.plan([listed], unit_records=self.unit_records)
            ranges = [(unit.start, unit.stop) for unit in planned] or [(0, file.size)]
        except OptionsError:
            ranges = [(0, file.size)]  # to be told, as a rejected record, when it is read
        time_ = file.changed // 1_000_000
        return [Part(file.name, *range_, file.version, time_) for range_ in ranges]

    def _media(self, name: str, files: Sequence[_File]) -> Sequence[Part]:
        media = {_modality(file): file.name for file in files}
        time_ = max(file.changed for file in files) // 1_000_000
        return [Part(name, 0, len(files), _version(files), time_, media)]

    def _version(self, part: Part) -> str | None:
        names = list(part.media.values()) if part.media else [part.source]
        files = [self._stat(name) for name in names]
        return _version([file for file in files if file is not None])


@dataclasses.dataclass(frozen=True)
class RecordsItem:
    """A records file, or a range of it."""

    folder: str
    part: Part
    labels: tuple[str, ...]

    def read(self) -> Iterator[RawRecord | Rejected]:
        """Reads the records; a file that cannot be read on is one rejected record at that place."""
        path = os.path.join(self.folder, self.part.source)
        if self.part.start == self.part.stop == 0:
            return
        unit = units.Unit(0, path, self.part.start, self.part.stop)
        after = self.part.start
        try:
            for outcome in sources.read(unit, self.labels):
                after = outcome.position.offset + 1
                yield dataclasses.replace(outcome, position=self._timed(outcome.position))
        except OptionsError as error:
            position = self._timed(Position(path, after))
            detail = f"unreadable from here on: {str(error).removeprefix(f'{path}: ')}"
            digest = hashlib.sha256(self.part.version.encode()).hexdigest()
            yield Rejected(str(position), position, "read", Reason.UNPARSABLE, detail, digest)

    def _timed(self, position: Position) -> Position:
        return dataclasses.replace(position, event_time=self.part.event_time)


@dataclasses.dataclass(frozen=True)
class MediaItem:
    """The media files of one record."""

    folder: str
    part: Part

    def read(self) -> Iterator[RawRecord | Rejected]:
        """Gives the record whose id is the files' common name."""
        place = os.path.join(self.folder, self.part.source)
        position = Position(place, 0, event_time=self.part.event_time)
        media: dict[str, Any] = {
            name: Uri(os.path.basename(path)) for name, path in self.part.media.items()
        }
        try:
            yield RawRecord(fields.identifier(self.part.source), position, **media)
        except fields.RefusedRecordError as error:
            digest = hashlib.sha256(self.part.version.encode()).hexdigest()
            yield fields.rejected(error, position, digest)


def _identity(part: Part) -> tuple[str, str, int, int]:
    return part.source, part.version, part.start, part.stop


def _modality(file: _File) -> str:
    return MEDIA_SUFFIXES[os.path.splitext(file.name)[1].lower()]


def _version(files: Sequence[_File]) -> str:
    if len(files) == 1:
        return files[0].version
    said = "\n".join(f"{file.name} {file.version}" for file in files)
    return hashlib.sha256(said.encode(errors="surrogateescape")).hexdigest()[:32]


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # a folder that was removed just now
        raise error
