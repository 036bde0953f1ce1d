"""Input files, and the work units into which they are cut."""

import functools
import hashlib
import os
from collections.abc import Iterator, Sequence

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.gcp import gcsio

from triad_ml.pipelines.runtime.defaults import UNIT_RECORDS
from triad_ml.pipelines.sources import format_checks
from triad_ml.pipelines.sources.files import SAMPLE_BYTES
from triad_ml.pipelines.sources.files import InputFile as InputFile
from triad_ml.pipelines.sources.files import Unit as Unit
from triad_ml.pipelines.sources.read import SUFFIXES, reader, suffix
from triad_ml.pipelines.storage import cloud, opening
from triad_ml.transforms.errors import OptionsError, StorageError
from triad_ml.transforms.media import uris

UNIT_BYTES = 64 * 2**20


def list_inputs(patterns: Sequence[str]) -> tuple[InputFile, ...]:
    """Lists the files that the patterns name, sorted by URI, each file once.

    A local file is named by its resolved path, however the pattern spells it. Only a link to a
    file in another folder keeps its own name: media are beside it, not beside what it leads to.

    Args:
        patterns: Local paths or `gs://` URIs; `*`, `**`, `?` and `[...]` as Beam reads them. A
            local path that exists is taken as it is.

    Raises:
        OptionsError: Where a pattern matches nothing, or a file's format is not known, or its
            first bytes show that it is of another format, or it is empty and cannot be.
        StorageError: Where a folder or bucket cannot be listed.
    """
    listed: dict[str, InputFile] = {}
    for pattern in patterns:
        matched = sorted(_match(pattern))
        if not matched:
            raise format_checks.nothing(pattern, SUFFIXES)
        for found in matched:
            kind = suffix(found)
            is_local = not opening.scheme(found)
            identity = os.path.realpath(found) if is_local else found
            uri = uris.spelled(_resolved(found, identity)) if is_local else found
            known = listed.get(identity)
            if known is not None and _rank(known.uri, identity) <= _rank(uri, identity):
                continue
            listed[identity] = _describe(uri)
            if not listed[identity].size:
                refuse_empty(uri)
            elif is_local:
                format_checks.check(uri, kind.removesuffix(".gz"))
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
    is cut into runs of row groups, and a row group of too many records, or of too many bytes beside
    its media, into runs of rows. Any other file, and any compressed one, is one unit.

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
        if file.size
        for start, stop in reader(file.uri).ranges(file, unit_bytes, unit_records)
    )
    return tuple(Unit(index, *place) for index, place in enumerate(ranges))


def refuse_empty(uri: str) -> None:
    """Refuses a file of zero bytes whose format has none: a copy failed.

    Raises:
        OptionsError: Naming the file.
    """
    if opening.is_gzip(uri) or not reader(uri).may_be_empty:
        raise OptionsError(
            f"{uri}: is empty, and {suffix(uri)} files never are; copy or write it again, or leave "
            "it out"
        )


def _match(pattern: str) -> Iterator[str]:
    """The files that a pattern names; one in the working folder begins with `./`."""
    scheme = opening.scheme(pattern)
    if scheme not in ("", "gs"):
        raise OptionsError(f"{pattern}: {scheme}:// is not read; give a local path or gs://")
    if not scheme and os.path.isfile(pattern):
        yield _local(pattern)  # also where the name holds a character of patterns
        return
    if not scheme and os.path.isdir(pattern):
        raise format_checks.folder(pattern, SUFFIXES)
    if scheme:
        cloud.check_credentials()  # Beam would ask for minutes, and then go on without
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


def _resolved(path: str, real: str) -> str:
    """The one spelling of a local path, given what it leads to."""
    parent = os.path.realpath(os.path.dirname(path))
    return real if os.path.dirname(real) == parent else os.path.join(parent, os.path.basename(path))


def _rank(uri: str, identity: str) -> tuple[bool, str]:
    """Of two names of one file the lower one is kept: its own before a link's."""
    return opening.local_path(uri) != identity, uri


def _describe(uri: str) -> InputFile:
    if opening.local_path(uri) is not None:
        return _describe_local(uri)
    bucket, name = gcsio.parse_gcs_path(uri)
    blob = _gcs().client.bucket(bucket).get_blob(name)
    if blob is None:
        raise StorageError(f"{uri}: was removed while it was listed; start again")
    return InputFile(uri, blob.size, str(blob.generation))


@functools.cache
def _gcs() -> gcsio.GcsIO:
    return gcsio.GcsIO()


def _describe_local(uri: str) -> InputFile:
    with opening.open_stored(uri) as file:
        status = os.fstat(file.fileno())
        # The clock of a file system may stand still between two writes of one size: look as well.
        head = file.read(SAMPLE_BYTES)
        file.seek(max(len(head), status.st_size - SAMPLE_BYTES))
        tail = file.read(SAMPLE_BYTES)
    digest = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}\n".encode())
    digest.update(head)
    digest.update(tail)
    return InputFile(uri, status.st_size, digest.hexdigest())
