"""Which URIs may be opened, and how: the one door to every medium that is not inline."""

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
"""Characters of a URI. The longest path of Linux has 4,095 bytes, each of which may be three."""

_REMOTE = "gs://"
_SCHEME = re.compile(r"[^:/]*://")
_FILE = re.compile(r"file:(?://(?:localhost)?(?=/)|(?=/(?!/)))", re.IGNORECASE)
_NO_NAME = re.compile("%00|%2f", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NOTHING_THERE = frozenset(
    # The last two are of file systems on which no file can have such a name.
    {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}
)
_NOT_FOR_US = frozenset({errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENODEV})
_BLOCK = 2**20


@dataclasses.dataclass(frozen=True)
class Roots:
    """The folders that media may come from, with everything below them.

    Attributes:
        base: Folder of the records file, local or `gs://bucket/folder`: relative names are looked
            for there first.
        allowed: Further folders, local or `gs://`: relative names are looked for there next, in
            this order.
        watched: A folder that files are put into while we read, at or above `base`: a link on the
            way from it to `base` is not followed. "" where there is none.
    """

    base: str
    allowed: tuple[str, ...] = ()
    watched: str = ""

    @functools.cached_property
    def _is_absolute(self) -> bool:
        folders = map(local_path, (self.base, *self.allowed, self.watched or "/"))
        return all(_SCHEME.match(one) or one.startswith("/") for one in folders)


class _Known(NamedTuple):
    """The roots as they are: local ones, and where relative names are looked for."""

    local: tuple[beneath.Root, ...]
    searched: tuple[str, ...]


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


def fetch(uri: str, roots: Roots, max_bytes: int) -> bytes:
    """Reads what a URI names: the first of its `places` at which something may be read.

    Symbolic links are followed, and what they lead to has to be below a root too. What was found to
    be below a root is what is read, whoever renames folders meanwhile.

    Args:
        uri: See `places`.
        roots: See `places`.
        max_bytes: What is larger is not read.

    Raises:
        MediumError: FORBIDDEN for what is outside the roots, for what this user may not read, and
            for folders, pipes, sockets and devices; NOT_FOUND; TOO_LARGE.
        OSError: A failing disk or network: not the record's fault.
    """
    failed = MediumError(Flaw.NOT_FOUND)
    for place in places(uri, roots):
        try:
            if _is_remote(place):
                return _fetch_remote(object_uri(place, roots), max_bytes)
            return _fetch_local(place, local_roots(roots), max_bytes)
        except MediumError as error:
            if error.flaw is Flaw.FORBIDDEN:
                failed = error
            elif error.flaw is not Flaw.NOT_FOUND:
                raise
    raise failed


def places(uri: str, roots: Roots) -> Iterator[str]:
    """What a URI may mean: local paths and `gs://` URIs, in the order in which they are tried.

    Names are taken literally; a relative one is looked for in each root. Of a `file:` URI (RFC
    8089: `file:///a`, `file://localhost/a` or `file:/a`) percent-encoded bytes are decoded first;
    the literal name comes next, as writers that do not encode would mean it.

    Args:
        uri: A name relative to a root, a local path, or a `file:` or `gs://` URI.
        roots: The folders that may be read; nothing is checked against them yet.

    Raises:
        MediumError: FORBIDDEN for what cannot be a name and for any other scheme; NOT_FOUND for
            what is longer than `LONGEST`.
    """
    if len(uri) > LONGEST:
        raise MediumError(Flaw.NOT_FOUND, f"a name of over {LONGEST} characters")
    if not uri or _UNPRINTABLE.search(uri):
        raise MediumError(Flaw.FORBIDDEN, "a name that is empty or has control characters")
    if found := _FILE.match(uri):
        path = uri[found.end() :]
        if _NO_NAME.search(path):
            raise MediumError(Flaw.FORBIDDEN, "a name with an encoded slash or NUL")
        if "%" in path:
            yield _decoded(path)
        yield path
    elif found := _SCHEME.match(uri):
        if found[0].lower() != _REMOTE:
            raise MediumError(Flaw.FORBIDDEN, "only relative names, file: and gs:// can be opened")
        yield _REMOTE + uri[found.end() :]
    elif uri.startswith("/"):
        yield uri
    else:
        for root in _known(roots).searched:
            yield f"{root}/{uri}"


def object_uri(uri: str, roots: Roots) -> str:
    """The `gs://` URI without `.` and `..`, if it is below one of the roots.

    Raises:
        MediumError: FORBIDDEN.
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
    """Those of the roots that are local, in their order."""
    return _known(roots).local


def resolved(folders: Sequence[str]) -> list[str]:
    """The one spelling of each folder of media, local or `gs://`, from any working folder."""
    return [
        one.rstrip("/") if _is_remote(one) else os.path.realpath(local_path(one)) for one in folders
    ]


def spelled(path: str) -> str:
    """A local path as printable text: as it is, else as a `file:` URI of the absolute path.

    Names on a disk are bytes, and `local_path` gives each of them again.
    """
    if not _UNPRINTABLE.search(path):
        return path
    return "file://" + urllib.parse.quote(os.fsencode(os.path.abspath(path)))


def local_path(uri: str) -> str:
    """The path that a `file:` URI names; anything else comes back as it is."""
    found = _FILE.match(uri)
    return _decoded(uri[found.end() :]) if found else uri


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
        elif not _SCHEME.match(folder := local_path(uri)):  # a topic is no folder
            folder = os.path.join(working_folder, folder)
            trusted = roots.watched if uri == roots.base and roots.watched else folder
            one = beneath.root(folder, os.path.join(working_folder, trusted))
            local.append(one)
            searched.append(one.path)
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
    # Imported here: jobs on local files never pay for the client.
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems
    from google.api_core.exceptions import GoogleAPICallError, NotFound

    try:
        # Uncompressed: Beam would otherwise inflate by name, and stop early in doing so.
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
    """Reads to the end, at most `size` bytes: one read may give less than was asked for."""
    blocks = []
    left = size
    while left and (block := stream.read(min(left, _BLOCK))):
        blocks.append(block)
        left -= len(block)
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)
