"""Readers of raw records from files of a watched folder, and the cutting of files into parts."""

import dataclasses
import hashlib
import itertools
import os
from collections.abc import Iterator
from typing import Any

from triad_ml.pipelines.sources import fields, units
from triad_ml.pipelines.sources import read as sources_read
from triad_ml.pipelines.sources.files import InputFile, Unit
from triad_ml.pipelines.storage import opening
from triad_ml.pipelines.streaming.interfaces import Part
from triad_ml.transforms.errors import OptionsError, StorageError
from triad_ml.transforms.files import beneath
from triad_ml.transforms.media import uris
from triad_ml.transforms.records.values import Position, RawRecord, Reason, Rejected, Uri

_reading: dict["RecordsItem", tuple[int, Iterator[RawRecord | Rejected]]] = {}
"""File that is being read from its beginning, part by part: the number of records read so far, and
the iterator with which the next part continues. Pipelines run in this process."""


@dataclasses.dataclass(frozen=True)
class Cut:
    """Records file cut into parts, with its approximate number of records."""

    parts: tuple[Part, ...]
    records: int


def cut(folder: str, whole: Part, unit_records: int, unit_bytes: int = units.UNIT_BYTES) -> Cut:
    """Cuts a file into parts of about `unit_records` or `unit_bytes`, whichever is reached first.

    JSONL and Parquet are cut at byte or row positions where reading can begin. Any other file is
    read once to count its records.

    Args:
        folder: Folder of the file.
        whole: Part that covers the whole file, from 0 to its size in bytes.
        unit_records: Largest number of records in a part.
        unit_bytes: Approximate size of a part, in bytes.

    Raises:
        StorageError: If the file cannot be read.
    """
    path = os.path.join(folder, whole.source)
    opening.confine(folder)
    reader = sources_read.reader(path)
    compressed = opening.is_gzip(path)
    if whole.stop == 0:
        return Cut((whole,), int(compressed or not reader.may_be_empty))
    if compressed or not reader.can_be_entered:
        return _counted(folder, whole, unit_records, unit_bytes)
    try:
        listed = InputFile(path, whole.stop, whole.version)
        planned = units.plan([listed], unit_bytes, unit_records)
        records = int(reader.records(listed) or 0)
    except OptionsError:
        return Cut((whole,), 1)  # reading it then yields a rejected record
    ranges = [dataclasses.replace(whole, start=unit.start, stop=unit.stop) for unit in planned]
    return Cut(tuple(ranges) or (dataclasses.replace(whole, stop=0),), records)


def _counted(folder: str, whole: Part, unit_records: int, unit_bytes: int) -> Cut:
    starts, count, size = [0], 0, 0
    for outcome in RecordsItem(folder, whole, ()).read():
        if count - starts[-1] >= unit_records or size >= unit_bytes:
            starts.append(count)
            size = 0
        count += 1
        size += _bytes(outcome)
    if len(starts) == 1:
        return Cut((whole,), count)
    ranges = itertools.pairwise([*starts, count])
    parts = [dataclasses.replace(whole, start=a, stop=b, counted=True) for a, b in ranges]
    return Cut(tuple(parts), count)


def _bytes(outcome: RawRecord | Rejected) -> int:
    if isinstance(outcome, Rejected):
        return 0
    media = (outcome.image, outcome.audio, outcome.text, *outcome.extra.values())
    return sum(len(value) for value in media if isinstance(value, bytes | str))


@dataclasses.dataclass(frozen=True)
class RecordsItem:
    """Reader of a records file, or of a range of it."""

    folder: str
    part: Part
    labels: tuple[str, ...]

    @property
    def _size(self) -> int:
        """Size of the file, in bytes."""
        return int(self.part.version.partition("-")[0])  # see `listing.File.version`

    def read(self) -> Iterator[RawRecord | Rejected]:
        """Yields the records; if the rest cannot be read, one rejected record at that position."""
        if not self.part.counted:
            yield from self._read(self.part.start, self.part.stop)
            return
        key = dataclasses.replace(self, part=dataclasses.replace(self.part, start=0, stop=0))
        place, outcomes = _reading.pop(key, (0, None))
        _reading.clear()
        if outcomes is None or place > self.part.start:
            place, outcomes = 0, self._read(0, self._size)
        for _ in itertools.islice(outcomes, self.part.start - place):
            pass
        yield from itertools.islice(outcomes, self.part.stop - self.part.start)
        _reading[key] = (self.part.stop, outcomes)

    def _read(self, start: int, stop: int) -> Iterator[RawRecord | Rejected]:
        path = os.path.join(self.folder, self.part.source)
        opening.confine(self.folder)
        place = uris.spelled(path)
        unit = Unit(0, path, start, stop)
        after = start
        try:
            if start == stop == 0:
                if self._size == 0:
                    units.refuse_empty(path)
                return
            for outcome in sources_read.read(unit, self.labels):
                after = outcome.position.offset + 1
                yield self._placed(outcome, place)
        except (OptionsError, StorageError) as error:
            if isinstance(error, StorageError) and not is_refused(error):
                raise
            position = Position(place, after, event_time=self.part.event_time)
            detail = f"unreadable from here on: {str(error).removeprefix(f'{path}: ')}"
            digest = hashlib.sha256(self.part.version.encode()).hexdigest()
            yield Rejected(str(position), position, "read", Reason.UNPARSABLE, detail, digest)

    def _placed(self, outcome: RawRecord | Rejected, place: str) -> RawRecord | Rejected:
        position = Position(place, outcome.position.offset, event_time=self.part.event_time)
        if isinstance(outcome, Rejected) and outcome.id == str(outcome.position):
            return dataclasses.replace(outcome, id=str(position), position=position)
        return dataclasses.replace(outcome, position=position)


def is_refused(error: StorageError) -> bool:
    """Returns True if the file is the cause (no permission, a refused link), not a failing disk."""
    return isinstance(error.__cause__, PermissionError | beneath.RefusedError)


@dataclasses.dataclass(frozen=True)
class MediaItem:
    """Reader of the media files of one record."""

    folder: str
    part: Part

    def read(self) -> Iterator[RawRecord | Rejected]:
        """Yields the record, whose id is the files' common name."""
        place = uris.spelled(os.path.join(self.folder, self.part.source))
        position = Position(place, 0, event_time=self.part.event_time)
        media: dict[str, Any] = {
            name: Uri(os.path.basename(path)) for name, path in self.part.media.items()
        }
        try:
            yield RawRecord(fields.identifier(self.part.source), position, **media)
        except fields.RefusedRecordError as error:
            digest = hashlib.sha256(self.part.version.encode()).hexdigest()
            yield fields.rejected(error, position, digest)
