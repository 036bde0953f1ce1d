"""Input files and units of work, and the interface of a reader of them."""

import dataclasses
import posixpath
from collections.abc import Iterator, Sequence
from typing import Protocol

from triad_ml.pipelines.storage import opening
from triad_ml.transforms.errors import StorageError
from triad_ml.transforms.records.values import RawRecord, Rejected

SAMPLE_BYTES = 64 * 2**10
"""How much of a file's beginning its average line is estimated from."""


@dataclasses.dataclass(frozen=True, slots=True)
class InputFile:
    """A records file as it was when it was listed.

    Attributes:
        uri: Local path, or `gs://` URI. A path is absolute and one spelling, see `list_inputs`;
            one that is not UTF-8 is a `file://` URI.
        size: In bytes, as stored.
        version: Changes with the content. Of a local file a digest of its size, its time of change
            and its ends; of a `gs://` object its generation.
    """

    uri: str
    size: int
    version: str


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    """A part of a records file that is read, scored and published as one.

    Attributes:
        index: Place among the units of a run, from 0.
        uri: The records file.
        start: First byte of a range, or first row of a Parquet file.
        stop: The byte or row behind the last.
    """

    index: int
    uri: str
    start: int
    stop: int


class Reader(Protocol):
    """A format of records files.

    Attributes:
        suffixes: Ends of the files' names, in lower case.
        may_be_empty: Whether a file of no bytes is one without records.
        can_be_entered: Whether reading may begin within a file that is not compressed.
    """

    @property
    def suffixes(self) -> tuple[str, ...]: ...

    @property
    def may_be_empty(self) -> bool: ...

    @property
    def can_be_entered(self) -> bool: ...

    def read(self, unit: Unit, labels: Sequence[str]) -> Iterator[RawRecord | Rejected]:
        """Reads the records of a unit; see `read.read`."""

    def ranges(
        self, file: InputFile, unit_bytes: int, unit_records: int
    ) -> Iterator[tuple[int, int]]:
        """Cuts a file that is not empty into the ranges of its units; see `units.plan`."""

    def records(self, file: InputFile) -> float | None:
        """Estimates the number of a file's records; None where only reading it tells."""


def folder(uri: str) -> str:
    """The folder of a records file, against which relative media URIs are resolved."""
    return posixpath.dirname(opening.local_path(uri) or uri) or "."


def average_line(uri: str) -> float:
    """Bytes of an average line in the first `SAMPLE_BYTES` of a file."""
    with opening.open_stored(uri) as file:
        sample = file.read(SAMPLE_BYTES)
    return len(sample) / max(1, sample.count(b"\n"))


def refuse_shorter(unit: Unit, size: int) -> None:
    """Refuses a file that ends before the unit does.

    Raises:
        StorageError: Naming the file.
    """
    if size < unit.stop:
        raise changed_error(unit.uri)


def refuse_other_size(unit: Unit, size: int) -> None:
    """Refuses a file of another size, where the unit is all of it.

    Raises:
        StorageError: Naming the file.
    """
    if size != unit.stop:
        raise changed_error(unit.uri)


def changed_error(uri: str) -> StorageError:
    """The error for a file that is not what was planned."""
    return StorageError(f"{uri}: changed while it was read; start again when nothing writes it")
