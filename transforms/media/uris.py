"""Checked opening of media by URI; every medium that is not inline is read here."""

import dataclasses
import errno
import functools
import os
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from triad_ml.transforms.files import beneath
from triad_ml.transforms.records.values import Flaw, MediumError

LONGEST = 16_384
"""Characters of the longest URI: a path of Linux has up to 4,095 bytes, three characters each."""

_REMOTE = "gs://"
_SCHEME = re.compile(r"[^:/]*://")
_FILE = re.compile(r"file:(?://(?:localhost)?(?=/)|(?=/(?!/)))", re.IGNORECASE)
_NO_NAME = re.compile("%00|%2f", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NOTHING_THERE = frozenset(
    # Some file systems report the last two for names that no file can have there.
    {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}
)
_NOT_FOR_US = frozenset({errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENODEV})
_BLOCK = 2**20


@dataclasses.dataclass(frozen=True)
class Roots:
    """Folders from which, and from below which, media may be read.

    Attributes:
        base: Folder of the records file, local or `gs://bucket/folder`; relative names are tried
            there first.
        allowed: Further folders, local or `gs://`; relative names are tried there next, in this
            order.
        watched: Folder, at or above `base`, into which others write files while it is read; links
            between it and `base` are not followed. "" if there is none.
    """

    base: str
    allowed: tuple[str, ...] = ()
    watched: str = ""

    @functools.cached_property
    def _is_absolute(self) -> bool:
        folders = map(local_path, (self.base, *self.allowed, self.watched or "/"))
        return all(_SCHEME.match(folder) or folder.startswith("/") for folder in folders)


class _Known(NamedTuple):
    """Resolved roots: the local ones, and all folders in which relative names are tried."""

    local: tuple[beneath.Root, ...]
    searched: tuple[str, ...]


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


def fetch(uri: str, roots: Roots, max_bytes: int) -> bytes:
    """Reads the medium of a URI, from the first of its `places` that can be read.

    Symbolic links are followed, and their targets have to be below a root too. The file that was
    found to be below a root is the file that is read, even if somebody renames folders meanwhile.

    Args:
        uri: See `places`.
        roots: See `places`.
        max_bytes: Largest size in bytes; larger media are not read.

    Raises:
        MediumError: FORBIDDEN for a medium outside the roots or not readable by this user, and for
            folders, pipes, sockets and devices; NOT_FOUND; TOO_LARGE.
        OSError: If a disk or the network fails, which is not the record's fault.
    """
    failed = MediumError(Flaw.NOT_FOUND)
    for candidate in places(uri, roots):
        try:
            if _is_remote(candidate):
                return _fetch_remote(object_uri(candidate, roots), max_bytes)
            return _fetch_local(candidate, local_roots(roots), max_bytes)
        except MediumError as error:
            if error.flaw is Flaw.FORBIDDEN:
                failed = error
            elif error.flaw is not Flaw.NOT_FOUND:
                raise
    raise failed


def places(uri: str, roots: Roots) -> Iterator[str]:
    """Yields the local paths and `gs://` URIs that a URI may mean, in the order to try them.

    Names are taken literally; a relative one is tried in each root. In a `file:` URI (RFC 8089:
    `file:///a`, `file://localhost/a` or `file:/a`), percent-encoded bytes are decoded first. The
    literal name is tried next, for writers that do not encode.

    Args:
        uri: A name relative to a root, a local path, or a `file:` or `gs://` URI.
        roots: The folders that may be read; nothing is checked against them yet.

    Raises:
        MediumError: FORBIDDEN for an impossible name and for any other scheme; NOT_FOUND for a URI
            longer than `LONGEST`.
    """
    if len(uri) > LONGEST:
        raise MediumError(Flaw.NOT_FOUND, f"a name of over {LONGEST} characters")
    if not uri or _UNPRINTABLE.search(uri):
        raise MediumError(Flaw.FORBIDDEN, "a name that is empty or has control characters")
    if match := _FILE.match(uri):
        path = uri[match.end() :]
        if _NO_NAME.search(path):
            raise MediumError(Flaw.FORBIDDEN, "a name with an encoded slash or NUL")
        if "%" in path:
            yield _decoded(path)
        yield path
    elif match := _SCHEME.match(uri):
        if match[0].lower() != _REMOTE:
            raise MediumError(Flaw.FORBIDDEN, "only relative names, file: and gs:// can be opened")
        yield _REMOTE + uri[match.end() :]
    elif uri.startswith("/"):
        yield uri
    else:
        for root in _known(roots).searched:
            yield f"{root}/{uri}"


def object_uri(uri: str, roots: Roots) -> str:
    """Returns a `gs://` URI without `.` and `..`.

    Raises:
        MediumError: FORBIDDEN, if it is not below one of the roots.
    """
    bucket, _, name = uri.removeprefix(_REMOTE).partition("/")
    parts: list[str] = []
    for part in name.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)  # object names may have empty parts; a `..` left over fails below
    uri = f"{_REMOTE}{bucket}/{'/'.join(parts)}"
    for root in (roots.base, *roots.allowed):
        if _is_remote(root) and uri.startswith(root.rstrip("/") + "/") and ".." not in parts:
            return uri
    raise _outside()


def local_roots(roots: Roots) -> tuple[beneath.Root, ...]:
    """Returns the local ones of the roots, in their order."""
    return _known(roots).local


def resolved(folders: Sequence[str]) -> list[str]:
    """Returns one spelling for each folder of media, local or `gs://`, as absolute real paths."""
    return [
        folder.rstrip("/") if _is_remote(folder) else os.path.realpath(local_path(folder))
        for folder in folders
    ]


def spelled(path: str) -> str:
    """Returns a local path as printable text: as it is, or as a `file:` URI of the absolute path.

    Names on a disk are bytes, of which not all are printable; `local_path` restores each of them.
    """
    if not _UNPRINTABLE.search(path):
        return path
    return "file://" + urllib.parse.quote(os.fsencode(os.path.abspath(path)))


def local_path(uri: str) -> str:
    """Returns the path of a `file:` URI; returns anything else unchanged."""
    match = _FILE.match(uri)
    return _decoded(uri[match.end() :]) if match else uri


def _decoded(path: str) -> str:
    return os.fsdecode(urllib.parse.unquote_to_bytes(path))


def _is_remote(path: str) -> bool:
    return path.startswith(_REMOTE)


def _known(roots: Roots) -> _Known:
    return _known_from(roots, "/" if roots._is_absolute else os.getcwd())


@functools.lru_cache(maxsize=256)
def _known_from(roots: Roots, working_folder: str) -> _Known:
    local, searched = [], []
    for uri in (roots.base, *roots.allowed):
        if _is_remote(uri):
            searched.append(uri.rstrip("/"))
        elif not _SCHEME.match(folder := local_path(uri)):  # skips the address of a topic
            folder = os.path.join(working_folder, folder)
            trusted = roots.watched if uri == roots.base and roots.watched else folder
            root = beneath.root(folder, os.path.join(working_folder, trusted))
            local.append(root)
            searched.append(root.path)
    return _Known(tuple(local), tuple(searched))


def _outside() -> MediumError:
    where = "outside the records file's folder and each --media-root"
    return MediumError(Flaw.FORBIDDEN, f"{where}; name its folder with --media-root")


def _fetch_local(path: str, roots: tuple[beneath.Root, ...], max_bytes: int) -> bytes:
    try:
        descriptor, status = beneath.open_file(path, roots)
    except beneath.RefusedError as error:
        if error.errno == errno.EXDEV:
            raise _outside() from error
        raise MediumError(Flaw.FORBIDDEN, str(error.strerror)) from error
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            raise MediumError(Flaw.NOT_FOUND) from error
        if error.errno in _NOT_FOR_US:
            raise MediumError(Flaw.FORBIDDEN, "this user may not read it") from error
        raise
    with open(descriptor, "rb", buffering=0) as file:
        if status.st_size > max_bytes:
            raise MediumError(Flaw.TOO_LARGE, f"{status.st_size} bytes, {max_bytes} allowed")
        return _read(file, status.st_size)


def _fetch_remote(uri: str, max_bytes: int) -> bytes:
    # Imported here, so that jobs on local files do not pay for loading the client.
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems
    from google.api_core.exceptions import GoogleAPICallError, NotFound

    try:
        # Otherwise Beam would inflate files by their suffix, and might return only a part.
        with FileSystems.open(uri, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
            content = _read(stream, max_bytes + 1)
    except (NotFound, FileNotFoundError) as error:
        raise MediumError(Flaw.NOT_FOUND) from error
    except GoogleAPICallError as error:
        raise OSError(f"{uri}: cannot be read: {error.code} {error.reason}") from error
    if len(content) > max_bytes:
        raise MediumError(Flaw.TOO_LARGE, f"over the {max_bytes} bytes allowed")
    return content


def _read(stream: _Stream, size: int) -> bytes:
    """Reads to the end, at most `size` bytes; a single `read` may return fewer than requested."""
    blocks = []
    left = size
    while left and (block := stream.read(min(left, _BLOCK))):
        blocks.append(block)
        left -= len(block)
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)
