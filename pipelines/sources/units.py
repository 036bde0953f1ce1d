"""Listing of input files, and their division into units of work."""

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
"""Default limit of a unit of work, in bytes."""


def list_inputs(patterns: Sequence[str]) -> tuple[InputFile, ...]:
    """Lists the files that match the patterns, sorted by URI, each file once.

    The URI of a local file is its resolved path, however the pattern spells it. Only a link to a
    file in another folder keeps its own path: its media are in the folder of the link, not in that
    of its target.

    Args:
        patterns: Local paths or `gs://` URIs, with `*`, `**`, `?` and `[...]` as in Beam. A local
            path that exists is no pattern, whatever characters it has.

    Raises:
        OptionsError: A pattern matches nothing, or the format of a file is unknown, or its first
            bytes show that it is of another format, or it is empty though its format never is.
        StorageError: A folder or bucket cannot be listed.
    """
    listed: dict[str, InputFile] = {}
    for pattern in patterns:
        matched = sorted(_match(pattern))
        if not matched:
            raise format_checks.nothing(pattern, SUFFIXES)
        for path in matched:
            kind = suffix(path)
            is_local = not opening.scheme(path)
            identity = os.path.realpath(path) if is_local else path
            uri = uris.spelled(_resolved(path, identity)) if is_local else path
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
    """Returns the URIs of the files that changed since they were listed.

    Raises:
        StorageError: A file cannot be opened.
    """
    return tuple(file.uri for file in inputs if _describe(file.uri) != file)


def plan(
    inputs: Sequence[InputFile], unit_bytes: int = UNIT_BYTES, unit_records: int = UNIT_RECORDS
) -> tuple[Unit, ...]:
    """Cuts files into units of work; the same files always have the same units.

    JSON Lines are cut into byte ranges; a line belongs to the range that holds its first byte.
    Parquet is cut into ranges of row groups; a row group with too many records, or too many bytes
    besides its media, is cut into ranges of rows. Any other file, and any compressed one, is one
    unit.

    Args:
        inputs: Files from `list_inputs`.
        unit_bytes: Approximate limit of a unit in bytes.
        unit_records: Approximate limit of a unit in records. For JSON Lines, the number is
            estimated from the average line in the first `SAMPLE_BYTES` of each file.

    Raises:
        OptionsError: A limit is not positive, or a file is no Parquet file.
        StorageError: A file cannot be read.
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
    return tuple(Unit(index, *part) for index, part in enumerate(ranges))


def refuse_empty(uri: str) -> None:
    """Refuses an empty file of a format whose files are never empty, as after a failed copy.

    Args:
        uri: URI of a file of zero bytes.

    Raises:
        OptionsError: Files of the format are never empty; the message names the file.
    """
    if opening.is_gzip(uri) or not reader(uri).may_be_empty:
        raise OptionsError(
            f"{uri}: is empty, and {suffix(uri)} files never are; copy or write it again, or leave "
            "it out"
        )


def _match(pattern: str) -> Iterator[str]:
    """Yields the files that match a pattern; paths in the working folder begin with `./`."""
    scheme = opening.scheme(pattern)
    if scheme not in ("", "gs"):
        raise OptionsError(f"{pattern}: {scheme}:// is not read; give a local path or gs://")
    if not scheme and os.path.isfile(pattern):
        yield _local(pattern)  # Its name may have characters of patterns.
        return
    if not scheme and os.path.isdir(pattern):
        raise format_checks.folder(pattern, SUFFIXES)
    if scheme:
        # Without credentials, Beam would retry for minutes and then continue anonymously.
        cloud.check_credentials()
    try:
        # Beam matches nothing for a local pattern without a folder.
        matched = FileSystems.match([pattern if scheme else _local(pattern)])[0].metadata_list
    except BeamIOError as error:
        why = " ".join(str(error).split())
        raise StorageError(f"{pattern}: cannot be listed: {why}; check the permissions") from error
    for metadata in matched:
        yield metadata.path if scheme else _local(metadata.path)


def _local(path: str) -> str:
    """Returns the normal form of a local path or pattern, always with a folder."""
    path = os.path.normpath(path)
    return path if os.path.dirname(path) else os.path.join(".", path)


def _resolved(path: str, real: str) -> str:
    """Returns the path for a local file's URI: the real one, or a link's to another folder."""
    parent = os.path.realpath(os.path.dirname(path))
    return real if os.path.dirname(real) == parent else os.path.join(parent, os.path.basename(path))


def _rank(uri: str, identity: str) -> tuple[bool, str]:
    """Ranks the URIs of one file; the lowest is kept, so that links rank after the file itself."""
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
        # Two writes of one size may have the same time of change, so the content is hashed too.
        head = file.read(SAMPLE_BYTES)
        file.seek(max(len(head), status.st_size - SAMPLE_BYTES))
        tail = file.read(SAMPLE_BYTES)
    digest = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}\n".encode())
    digest.update(head)
    digest.update(tail)
    return InputFile(uri, status.st_size, digest.hexdigest())
