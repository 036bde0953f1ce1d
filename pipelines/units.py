"""Input files, and the work units into which they are cut."""

import dataclasses
import functools
import hashlib
import os
import posixpath
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.gcp import gcsio

from pipelines import cloud_storage, files
from pipelines.options import UNIT_RECORDS as UNIT_RECORDS
from transforms.errors import OptionsError, StorageError

SUFFIXES = (
    ".jsonl",
    ".jsonl.gz",
    ".csv",
    ".csv.gz",
    ".parquet",
    ".tfrecord",
    ".tfrecord.gz",
)
"""The formats that are read, by the end of the file's name in any case."""

UNIT_BYTES = 64 * 2**20
SAMPLE_BYTES = 64 * 2**10
"""How much of a file's beginning its average line is estimated from."""


@dataclasses.dataclass(frozen=True, slots=True)
class InputFile:
    """A records file as it was when it was listed.

    Attributes:
        uri: Local path or `gs://` URI.
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
        start: First byte of a range, or first row group of a Parquet file.
        stop: The byte or row group behind the last.
    """

    index: int
    uri: str
    start: int
    stop: int


def list_inputs(patterns: Sequence[str]) -> tuple[InputFile, ...]:
    """Lists the files that the patterns name, sorted by URI, each file once.

    Args:
        patterns: Local paths or `gs://` URIs; `*`, `**`, `?` and `[...]` as Beam reads them. A
            local path that exists is taken as it is.

    Raises:
        OptionsError: Where a pattern matches nothing, or a file's format is not known.
        StorageError: Where a folder or bucket cannot be listed.
    """
    listed: dict[str, InputFile] = {}
    for pattern in patterns:
        matched = sorted(_match(pattern))
        if not matched:
            raise OptionsError(
                f"{pattern}: no file matches; give a path or pattern of records files"
            )
        for uri in matched:
            suffix(uri)
            identity = uri if files.scheme(uri) else os.path.realpath(uri)
            if identity not in listed or uri < listed[identity].uri:
                listed[identity] = _describe(uri)
    return tuple(sorted(listed.values(), key=lambda file: file.uri))


def changed(inputs: Sequence[InputFile]) -> tuple[str, ...]:
    """URIs of the files that are not what they were when they were listed.

    Raises:
        StorageError: Where one cannot be opened.
    """
    return tuple(file.uri for file in inputs if _describe(file.uri) != file)


def plan(
    inputs: Sequence[InputFile], unit_bytes: int = UNIT_BYTES, unit_records: int = UNIT_RECORDS
) -> tuple[Unit, ...]:
    """Cuts files into units; the same files always give the same units.

    JSONL is cut into byte ranges; a line belongs to the range that holds its first byte. Parquet
    is cut into runs of row groups. Any other file, and any compressed one, is one unit.

    Args:
        inputs: From `list_inputs`.
        unit_bytes: About how many bytes a unit holds at most.
        unit_records: About how many records a unit holds at most. Of JSONL the number is estimated
            from the average line in the first `SAMPLE_BYTES` of each file.

    Raises:
        OptionsError: Where a limit is not positive, or a file is no Parquet file.
        StorageError: Where a file cannot be read.
    """
    for name, value in (("unit_bytes", unit_bytes), ("unit_records", unit_records)):
        if value < 1:
            raise OptionsError(f"{name} must be positive, got {value}")
    ranges = (
        (file.uri, start, stop)
        for file in inputs
        for start, stop in _ranges(file, unit_bytes, unit_records)
    )
    return tuple(Unit(index, *place) for index, place in enumerate(ranges))


def folder(uri: str) -> str:
    """The folder of a records file, against which relative media URIs are resolved."""
    return posixpath.dirname(uri) or "."


def suffix(uri: str) -> str:
    """The one of `SUFFIXES` with which the name ends.

    Raises:
        OptionsError: Where there is none.
    """
    name = uri.lower()
    for known in SUFFIXES:
        if name.endswith(known):
            return known
    raise OptionsError(f"{uri}: the format is not known; a name ends in {', '.join(SUFFIXES)}")


def _match(pattern: str) -> Iterator[str]:
    """The files that a pattern names; one in the working folder begins with `./`."""
    scheme = files.scheme(pattern)
    if scheme not in ("", "gs"):
        raise OptionsError(f"{pattern}: {scheme}:// is not read; give a local path or gs://")
    if not scheme and os.path.isfile(pattern):
        yield _local(pattern)  # also where the name holds a character of patterns
        return
    if scheme:
        cloud_storage.check_credentials()  # Beam would ask for minutes, and then go on without
    try:
        # Beam finds nothing for a local pattern that names no folder.
        matched = FileSystems.match([pattern if scheme else _local(pattern)])[0].metadata_list
    except BeamIOError as error:
        why = " ".join(str(error).split())
        raise StorageError(f"{pattern}: cannot be listed: {why}; check the permissions") from error
    for metadata in matched:
        yield metadata.path if scheme else _local(metadata.path)


def _local(path: str) -> str:
    """A plain spelling of a local path or pattern that always names a folder."""
    path = os.path.normpath(path)
    return path if os.path.dirname(path) else os.path.join(".", path)


def _describe(uri: str) -> InputFile:
    if not files.scheme(uri):
        return _describe_local(uri)
    bucket, name = gcsio.parse_gcs_path(uri)
    blob = _gcs().client.bucket(bucket).get_blob(name)
    if blob is None:
        raise StorageError(f"{uri}: was removed while it was listed; start again")
    return InputFile(uri, blob.size, str(blob.generation))


@functools.cache
def _gcs() -> gcsio.GcsIO:
    return gcsio.GcsIO()


def _describe_local(path: str) -> InputFile:
    with files.open_stored(path) as file:
        status = os.fstat(file.fileno())
        # The clock of a file system may stand still between two writes of one size: look as well.
        head = file.read(SAMPLE_BYTES)
        file.seek(max(len(head), status.st_size - SAMPLE_BYTES))
        tail = file.read(SAMPLE_BYTES)
    digest = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}\n".encode())
    digest.update(head)
    digest.update(tail)
    return InputFile(path, status.st_size, digest.hexdigest())


def _ranges(file: InputFile, unit_bytes: int, unit_records: int) -> Iterator[tuple[int, int]]:
    if file.size == 0:
        return
    kind = suffix(file.uri)
    if kind == ".jsonl":
        width = min(unit_bytes, max(1, int(unit_records * average_line(file.uri))))
        count = -(-file.size // width)
        for index in range(count):
            yield index * file.size // count, (index + 1) * file.size // count
    elif kind == ".parquet":
        yield from _row_groups(file.uri, unit_bytes, unit_records)
    else:
        yield 0, file.size


def average_line(uri: str) -> float:
    """Bytes of an average line in the first `SAMPLE_BYTES` of a file."""
    with files.open_stored(uri) as file:
        sample = file.read(SAMPLE_BYTES)
    return len(sample) / max(1, sample.count(b"\n"))


def _row_groups(uri: str, unit_bytes: int, unit_records: int) -> Iterator[tuple[int, int]]:
    with files.open_stored(uri) as file:
        try:
            metadata = pq.ParquetFile(file).metadata
        except (pa.ArrowException, OSError) as error:
            why = " ".join(str(error).split())
            raise OptionsError(f"{uri}: is no Parquet file: {why}; write it again") from error
    start = total_bytes = total_records = 0
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        fits = (
            total_bytes + group.total_byte_size <= unit_bytes
            and total_records + group.num_rows <= unit_records
        )
        if index > start and not fits:
            yield start, index
            start, total_bytes, total_records = index, 0, 0
        total_bytes += group.total_byte_size
        total_records += group.num_rows
    if start < metadata.num_row_groups:
        yield start, metadata.num_row_groups
