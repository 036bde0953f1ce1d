"""A watched folder: its records files, or its media files matched by name, as they arrive."""

import collections
import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pipelines import storage, units
from pipelines.streaming import folder_items
from pipelines.streaming.batches import Item, Load, Part
from transforms.errors import OptionsError, StorageError

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
        self._seen: dict[str, tuple[str, float]] = {}
        self._cuts: dict[str, folder_items.Cut] = {}
        self.remember(self.given)
        self._unsettled = False
        self._more = False
        self._load = Load()
        self._listed: Collection[str] = ()

    def remember(self, given: Iterable[Part]) -> None:
        """Holds that these parts were given out, and no others."""
        self._given = set(map(_identity, given))
        self._finished: dict[str, str] = {}

    @property
    def pause(self) -> float:
        return max(self.settle, 0.1)

    def poll(self) -> tuple[Part, ...]:
        parts: list[Part] = []
        size = records = 0
        self._more = False
        for cut, bytes_ in self._ready():
            left = [part for part in cut.parts if _identity(part) not in self._given]
            if not left:
                name = cut.parts[0].source
                self._finished[name] = cut.parts[0].version
                self._cuts.pop(name, None)
            for part in left:
                alone = len(cut.parts) > 1  # a large file's parts are batches of their own
                full = len(parts) >= BATCH_PARTS or size >= BATCH_BYTES
                full = full or records >= self.unit_records
                if full or (alone and parts):
                    self._more = True
                    break
                parts.append(part)
                size += BATCH_BYTES if alone else bytes_
                records += cut.records
            if self._more:
                break
        behind = len(self._listed) - len(self._finished) - len({part.source for part in parts})
        self._load = Load(max(0, behind), len(parts), size)
        return tuple(parts)

    def items(self, parts: Sequence[Part], labels: Sequence[str]) -> Sequence[Item]:
        names = tuple(labels)
        return [
            folder_items.MediaItem(self.path, part)
            if part.media
            else folder_items.RecordsItem(self.path, part, names)
            for part in parts
        ]

    def unchanged(self, parts: Sequence[Part]) -> tuple[Part, ...]:
        return tuple(part for part in parts if self._version(part) == part.version)

    def done(self, parts: Sequence[Part]) -> None:
        self._given.update(map(_identity, parts))

    def needed(self, parts: Sequence[Part]) -> Sequence[Part]:
        """Those of files that are there as they were, and the last ones of others."""
        there = set(self.unchanged(parts))
        gone = [part for part in parts if part not in there]
        kept = there.union(gone[-REMEMBERED:])
        self._given = set(map(_identity, kept))
        return [part for part in parts if part in kept]

    def is_drained(self) -> bool:
        return not (self._unsettled or self._more)

    def load(self) -> Load:
        return self._load

    def close(self) -> None:
        pass

    def _ready(self) -> Iterator[tuple[folder_items.Cut, int]]:
        """Each file or record that has settled, and its bytes."""
        self._unsettled = False
        groups = self._groups()
        self._listed = groups.keys()
        self._seen = {name: seen for name, seen in self._seen.items() if name in groups}
        self._finished = {n: version for n, version in self._finished.items() if n in groups}
        self._cuts = {name: cut for name, cut in self._cuts.items() if name in groups}
        for name, files in groups.items():
            if self._finished.get(name) == _version(files):
                continue
            if not self._settled(name, files):
                self._unsettled = True
                continue
            cut = self._media(name, files) if self.media_files else self._cut(files[0])
            if cut is not None:
                yield cut, sum(file.size for file in files)

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

    def _cut(self, file: _File) -> folder_items.Cut | None:
        """A records file in parts; None where it is gone or changed meanwhile."""
        known = self._cuts.get(file.name)
        if known is None or known.parts[0].version != file.version:
            whole = Part(file.name, 0, file.size, file.version, file.changed // 1_000_000)
            try:
                known = folder_items.cut(self.path, whole, self.unit_records)
            except StorageError:
                if self._stat(file.name) == file:
                    raise
                self._unsettled = True
                return None
            self._cuts[file.name] = known
        return known

    def _media(self, name: str, files: Sequence[_File]) -> folder_items.Cut:
        media = {_modality(file): file.name for file in files}
        time_ = max(file.changed for file in files) // 1_000_000
        return folder_items.Cut((Part(name, 0, len(files), _version(files), time_, media),), 1)

    def _version(self, part: Part) -> str | None:
        names = list(part.media.values()) if part.media else [part.source]
        files = [self._stat(name) for name in names]
        return _version([file for file in files if file is not None])


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
