"""Source of a watched folder: arriving records files, or media files matched by name."""

import collections
import dataclasses
import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.streaming.folder import items as folder_items
from triad_ml.pipelines.streaming.folder import kinds, listing
from triad_ml.pipelines.streaming.folder.listing import File
from triad_ml.pipelines.streaming.interfaces import Item, Load, Part
from triad_ml.transforms.errors import StorageError
from triad_ml.transforms.files import beneath

BATCH_BYTES = 8 * 2**20
BATCH_PARTS = 256

REMEMBERED = 100_000
"""Number of parts of removed files that are remembered, the latest ones, in case the files
reappear."""

_YEAR_10000 = 253_402_300_800_000  # in milliseconds
_NO_TIME = "its time is none of the years 1970 to 9999: it is read, and its rows have no time"


class _Entry(NamedTuple):
    """File that is to be read, with its kind; `settled` is True if it is no longer changing."""

    file: File
    kind: str
    settled: bool


@dataclasses.dataclass
class Folder:
    """Source of the files of a folder and its subfolders; each version of a file is delivered once.

    A file is ready when it has not changed for `settle` seconds. If it changes later, the whole
    file is read again. Names that begin with a dot or an underscore, or end like those of
    unfinished files, are skipped: writers should write under such a name and rename. The log
    reports once each other file that is not read.

    Attributes:
        path: Path of the folder.
        media_files: True if the files are media. The files of one record then have the same name
            up to the suffix, and this name is its id. A second image, audio or text of the same
            name is a separate record, with its whole name as the id. The kind of a file is
            recognized by its content, see `kinds`. False if they are records files, see
            `read.SUFFIXES`.
        unit_records: Approximate number of records of one file in one batch.
        settle: Time in seconds for which a file must not have changed.
        given: Parts that were delivered before.
        clock: Function that returns the time in seconds since 1970.
        media_roots: Further folders to which links to media may lead.
    """

    path: str
    media_files: bool = False
    unit_records: int = 1024
    settle: float = 2.0
    given: Sequence[Part] = ()
    clock: Callable[[], float] = time.time
    media_roots: Sequence[str] = ()

    def __post_init__(self) -> None:
        listing.check(self.path)
        roots = self.media_roots if self.media_files else ()
        self._disk = listing.Folder(self.path, roots)
        self._kinds = kinds.Kinds(self._disk, self.path, self.media_files)
        self._passed_over = 0
        self._seen: dict[str, tuple[str, float]] = {}
        self._cuts: dict[str, folder_items.Cut] = {}
        self.remember(self.given)
        self._unsettled = False
        self._more = False
        self._load = Load()
        self._listed: Collection[str] = ()

    def remember(self, given: Iterable[Part]) -> None:
        """Sets the parts that count as delivered, in place of all earlier ones."""
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
                alone = len(cut.parts) > 1  # each part of a large file is a separate batch
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
        self._load = Load(max(0, behind), len(parts), size, passed_over=self._passed_over)
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
        return tuple(part for part in parts if self._is_unchanged(part))

    def done(self, parts: Sequence[Part]) -> None:
        self._given.update(map(_identity, parts))

    def needed(self, parts: Sequence[Part]) -> Sequence[Part]:
        """Returns the parts of files that exist unchanged, and the latest ones of other files."""
        unchanged = set(self.unchanged(parts))
        gone = [part for part in parts if part not in unchanged]
        kept = unchanged.union(gone[-REMEMBERED:])
        self._given = set(map(_identity, kept))
        return [part for part in parts if part in kept]

    def is_drained(self) -> bool:
        return not (self._unsettled or self._more)

    def load(self) -> Load:
        return self._load

    def close(self) -> None:
        pass

    def _ready(self) -> Iterator[tuple[folder_items.Cut, int]]:
        """Yields each settled file or record of media, with its size in bytes."""
        groups = self._groups()
        self._listed = groups.keys()
        self._finished = {n: version for n, version in self._finished.items() if n in groups}
        self._cuts = {name: cut for name, cut in self._cuts.items() if name in groups}
        for name, group in groups.items():
            files = [entry.file for entry in group]
            if self._finished.get(name) == _version(files):
                continue
            if not all(entry.settled for entry in group):
                continue
            cut = self._media(name, group) if self.media_files else self._cut(files[0])
            if cut is not None:
                yield cut, sum(file.size for file in files)

    def _groups(self) -> dict[str, list[_Entry]]:
        """Groups the files, in order: by file name for records files, by record for media."""
        groups: dict[str, list[_Entry]] = collections.defaultdict(list)
        files, refused = self._disk.listing()
        names = {file.name for file in files}
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
        self._unsettled = False
        for file in files:
            entry = self._entry(file)
            if entry is not None:
                groups[self._name(entry, groups)].append(entry)
        self._kinds.keep(names)
        self._passed_over = self._kinds.tell(refused)
        return dict(groups)

    def _entry(self, file: File) -> _Entry | None:
        kind = self._kinds.likely(file.name)
        settled = self._settled(file)
        # A records file is recognized by its name, so no other file needs time to settle.
        if settled or (kind is None and not self.media_files):
            with atomic.explained(self.path):
                kind = self._kinds.of(file)
        else:
            self._unsettled = True
        if kind is not None and _event_time(file.changed) is None:
            self._kinds.noted[file.name] = _NO_TIME
        return None if kind is None else _Entry(file, kind, settled)

    def _name(self, entry: _Entry, groups: Mapping[str, Sequence[_Entry]]) -> str:
        if not self.media_files:
            return entry.file.name
        stem = kinds.stem(entry.file.name)
        taken = any(other.kind == entry.kind for other in groups.get(stem, ()))
        return entry.file.name if taken else stem

    def _settled(self, file: File) -> bool:
        now = self.clock()
        if file.changed / 1e9 <= now - self.settle:
            return True
        before, since = self._seen.get(file.name, ("", now))
        # The writer's clock may be ahead of ours, so also measure by our clock since the last
        # change that we saw.
        if before != file.version:
            self._seen[file.name] = (file.version, now)
            return self.settle <= 0
        return now - since >= self.settle

    def _cut(self, file: File) -> folder_items.Cut | None:
        """Cuts a records file into parts; None if it is gone, changed or unreadable meanwhile."""
        known = self._cuts.get(file.name)
        if known is None or known.parts[0].version != file.version:
            whole = Part(file.name, 0, file.size, file.version, _event_time(file.changed))
            try:
                known = folder_items.cut(self.path, whole, self.unit_records)
            except StorageError as error:
                if self._is_unchanged(whole) and not folder_items.is_refused(error):
                    raise
                self._kinds.forget(file.name)
                self._unsettled = True
                return None
            self._cuts[file.name] = known
        return known

    def _media(self, name: str, group: Sequence[_Entry]) -> folder_items.Cut:
        media = {entry.kind: entry.file.name for entry in group}
        files = [entry.file for entry in group]
        time_ = _event_time(max(file.changed for file in files))
        return folder_items.Cut((Part(name, 0, len(files), _version(files), time_, media),), 1)

    def _is_unchanged(self, part: Part) -> bool:
        names = list(part.media.values()) if part.media else [part.source]
        try:
            return _version([self._disk.status(name) for name in names]) == part.version
        except PermissionError:
            return True  # reading it will report the missing permission
        except OSError as error:
            if isinstance(error, FileNotFoundError | beneath.RefusedError):
                return False
            raise


def _identity(part: Part) -> tuple[str, str, int, int]:
    return part.source, part.version, part.start, part.stop


def _version(files: Sequence[File]) -> str:
    if len(files) == 1:
        return files[0].version
    content = "\n".join(f"{file.name} {file.version}" for file in files)
    return hashlib.sha256(content.encode(errors="surrogateescape")).hexdigest()[:32]


def _event_time(changed: int) -> int | None:
    """Returns a file's time in milliseconds; None if it is outside the years 1970 to 9999."""
    milliseconds = changed // 1_000_000
    return milliseconds if 0 <= milliseconds < _YEAR_10000 else None
