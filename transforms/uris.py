"""Which URIs may be opened, and how: the one door to every medium that is not inline."""

import dataclasses
import errno
import functools
import os
import re
import stat
from typing import Protocol

from transforms.records import Flaw, MediumError

_REMOTE = "gs://"
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NOTHING_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})
_NO_FILE = frozenset({errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EISDIR})  # link, socket, device
_BLOCK = 2**20


@dataclasses.dataclass(frozen=True)
class Roots:
    """The folders that media may come from, with everything below them.

    Attributes:
        base: Folder of the records file, local or `gs://bucket/folder`: relative URIs start there.
        allowed: Further folders, local or `gs://`.
    """

    base: str
    allowed: tuple[str, ...] = ()


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


def resolve(uri: str, roots: Roots) -> str:
    """Says what a URI opens, without opening it.

    Names are taken literally: nothing is percent-decoded. Symbolic links are followed, and what
    they lead to has to be under a root too.

    Args:
        uri: A name relative to `roots.base`, a local path, or a `file://` or `gs://` URI.
        roots: The folders that may be read.

    Returns:
        A local path without links, or a `gs://` URI. Nothing need be there.

    Raises:
        MediumError: FORBIDDEN for any other scheme and for what is outside the roots.
    """
    if not uri or _UNPRINTABLE.search(uri):
        raise MediumError(Flaw.FORBIDDEN, "a name that is empty or has control characters")
    scheme, separator, rest = uri.partition("://")
    if separator:
        if scheme.lower() == "gs":
            return _remote(_REMOTE + rest, roots)
        if scheme.lower() == "file" and rest.removeprefix("localhost").startswith("/"):
            return _local(rest.removeprefix("localhost"), roots)
        raise MediumError(Flaw.FORBIDDEN, "only relative names, file:// and gs:// can be opened")
    if uri.startswith("/"):
        return _local(uri, roots)
    if _is_remote(roots.base):
        return _remote(f"{roots.base.rstrip('/')}/{uri}", roots)
    base = _root(roots.base)
    return _plain_path(base, uri) or _local(f"{base}/{uri}", roots)


def fetch(uri: str, roots: Roots, max_bytes: int) -> bytes:
    """Reads what a URI names.

    Args:
        uri: See `resolve`.
        roots: See `resolve`.
        max_bytes: What is larger is not read.

    Raises:
        MediumError: FORBIDDEN (see `resolve`, and for folders, pipes, sockets and devices),
            NOT_FOUND or TOO_LARGE.
        OSError: Missing permission or a failing disk or network: not the record's fault.
    """
    path = resolve(uri, roots)
    return _fetch_remote(path, max_bytes) if _is_remote(path) else _fetch_local(path, max_bytes)


def _is_remote(path: str) -> bool:
    return path.startswith(_REMOTE)


def _root(root: str) -> str:
    path = root.removeprefix("file://")
    return _real(path) if path.startswith("/") else os.path.realpath(path)


_real = functools.lru_cache(maxsize=64)(os.path.realpath)
"""Roots are few and stay where they are while a process runs."""


def _plain_path(base: str, name: str) -> str | None:
    """The path of `name` under `base`, or None where `..` or a link needs the long way.

    Costs one system call for each part of `name`, not one for each part of the whole path.
    """
    path = base.rstrip("/")
    for part in name.split("/"):
        if part == "..":
            return None
        if part not in ("", "."):
            path = f"{path}/{part}"
            if os.path.islink(path):
                return None
    return path


def _local(path: str, roots: Roots) -> str:
    real = os.path.realpath(path)
    for root in (roots.base, *roots.allowed):
        if not _is_remote(root) and _is_under(real, _root(root)):
            return real
    raise MediumError(Flaw.FORBIDDEN, "outside the allowed folders")


def _remote(uri: str, roots: Roots) -> str:
    bucket, _, name = uri.removeprefix(_REMOTE).partition("/")
    parts: list[str] = []
    for part in name.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)  # object names may have empty parts; a `..` left over fails below
    uri = f"{_REMOTE}{bucket}/{'/'.join(parts)}"
    for root in (roots.base, *roots.allowed):
        if _is_remote(root) and _is_under(uri, root) and ".." not in parts:
            return uri
    raise MediumError(Flaw.FORBIDDEN, "outside the allowed folders")


def _is_under(path: str, root: str) -> bool:
    return path.startswith(root.rstrip("/") + "/")


def _fetch_local(path: str, max_bytes: int) -> bytes:
    try:
        with open(path, "rb", buffering=0, opener=_open_file) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise MediumError(Flaw.FORBIDDEN, "not a file")
            if status.st_size > max_bytes:
                raise MediumError(Flaw.TOO_LARGE, f"{status.st_size} bytes, {max_bytes} allowed")
            return _read(file, status.st_size)
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            raise MediumError(Flaw.NOT_FOUND) from error
        if error.errno in _NO_FILE:
            raise MediumError(Flaw.FORBIDDEN, "not a file") from error
        raise


def _open_file(path: str, flags: int) -> int:
    # A pipe would block for ever without O_NONBLOCK; a link at the end was put there just now.
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


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
