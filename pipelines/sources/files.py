"""Input files, units of work, and the interface of readers."""

import dataclasses
import posixpath
from collections.abc import Iterator, Sequence
from typing import Protocol

from triad_ml.pipelines.storage import opening
from triad_ml.transforms.errors import StorageError
from triad_ml.transforms.records.values import RawRecord, Rejected

SAMPLE_BYTES = 64 * 2**10
"""Number of bytes at the beginning of a file from which its average line is estimated."""


@dataclasses.dataclass(frozen=True, slots=True)
class InputFile:
    """Records file as it was when it was listed.

    Attributes:
        uri: Local path, or `gs://` URI. A path is absolute and resolved, see `units.list_inputs`;
            one that is not UTF-8 is a `file://` URI.
        size: Size in bytes, as stored.
        version: Text that changes with the content. For a local file, a digest of its size, its
            time of change, its beginning and its end; for a `gs://` object, its generation.
    """

    uri: str
    size: int
    version: str


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    """Unit of work: a part of a records file that is read, scored and committed on its own.

    Attributes:
        index: Index among the units of a run, from 0.
        uri: URI of the records file.
        start: First byte; of a Parquet file, first row.
        stop: Byte or row after the last one.
    """

    index: int
    uri: str
    start: int
    stop: int


class Reader(Protocol):
    """Interface of a reader of one format of records files.

    Attributes:
        suffixes: Suffixes of the files' names, in lower case.
        may_be_empty: True if a file of zero bytes is a valid file without records.
        can_be_entered: True if reading may begin within an uncompressed file.
    """

    @property
    def suffixes(self) -> tuple[str, ...]: ...

    @property
    def may_be_empty(self) -> bool: ...

    @property
    def can_be_entered(self) -> bool: ...

    def read(self, unit: Unit, labels: Sequence[str]) -> Iterator[RawRecord | Rejected]:
        """Reads the records of a unit, see `read.read`."""

    def ranges(
        self, file: InputFile, unit_bytes: int, unit_records: int
    ) -> Iterator[tuple[int, int]]:
        """Cuts a file that is not empty into the ranges of its units, see `units.plan`."""

    def records(self, file: InputFile) -> float | None:
        """Estimates the number of a file's records; None if that requires reading all of it."""


def folder(uri: str) -> str:
    """Returns the folder of a records file, against which relative media URIs are resolved."""
    return posixpath.dirname(opening.local_path(uri) or uri) or "."


def average_line(uri: str) -> float:
    """Returns the average length in bytes of the lines in the first `SAMPLE_BYTES` of a file."""
    with opening.open_stored(uri) as file:
        sample = file.read(SAMPLE_BYTES)
    return len(sample) / max(1, sample.count(b"\n"))


def refuse_shorter(unit: Unit, size: int) -> None:
    """Refuses a file that ends before the unit does.

    Raises:
        StorageError: The file is shorter; the message names it.
    """
    if size < unit.stop:
        raise changed_error(unit.uri)


def refuse_other_size(unit: Unit, size: int) -> None:
    """Refuses a file whose size differs from the unit's, which is the whole file.

    Raises:
        StorageError: The size differs; the message names the file.
    """
    if size != unit.stop:
        raise changed_error(unit.uri)


def changed_error(uri: str) -> StorageError:
    """Returns the error for a file that changed since it was listed."""
    return StorageError(f"{uri}: changed while it was read; start again when nothing writes it")
