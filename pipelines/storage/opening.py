"""Opening of input files, local or `gs://`, as stored or inflated."""

import io
import os
import re
import stat
from typing import BinaryIO

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from triad_ml.transforms.errors import OptionsError, StorageError
from triad_ml.transforms.files import beneath
from triad_ml.transforms.files.gzip_reader import inflated
from triad_ml.transforms.media import uris

BUFFER_BYTES = 2**20
"""Size of the read buffer, in bytes."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


_confined: dict[str, beneath.Root] = {}
"""Folders given to `confine`, by absolute path."""


def scheme(uri: str) -> str:
    """Returns the scheme of a URI in lower case, or "" for a local path."""
    match = _SCHEME.match(uri)
    return match.group(1).lower() if match else ""


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def local_path(uri: str) -> str | None:
    """Returns the path of a local file; None if it is in a bucket; see `uris.spelled`."""
    return uris.local_path(uri) if scheme(uri) in ("", "file") else None


def confine(folder: str) -> None:
    """Forbids, for this process, opening files of a folder through links that lead out of it.

    It is for folders into which others put files while they are read. `open_stored` enforces it for
    all its callers.
    """
    absolute = os.path.abspath(folder)
    _confined[absolute] = beneath.root(absolute, absolute)


def open_stored(uri: str) -> BinaryIO:
    """Opens a file for reading as it is stored, even if it is compressed.

    Raises:
        OptionsError: The path is a pipe, a folder or another thing that is no file; a pipe is
            refused without waiting for a writer.
        StorageError: The file cannot be opened.
    """
    path = local_path(uri)
    try:
        if path is not None:
            file = _open_local(uri, path)
            _refuse_other(uri, os.fstat(file.fileno()))
            return file
        raw = FileSystems.open(uri, compression_type=CompressionTypes.UNCOMPRESSED)
    except OSError as error:
        raise unreadable(uri, error) from error
    return io.BufferedReader(raw, BUFFER_BYTES)


def _open_local(uri: str, path: str) -> BinaryIO:
    absolute = os.path.abspath(path) if _confined else path
    for folder, root in _confined.items():
        if absolute.startswith(f"{folder.rstrip('/')}/"):
            inside = os.path.join(root.path, absolute[len(folder) :].lstrip("/"))
            descriptor, _ = beneath.open_file(inside, [root])
            return open(descriptor, "rb", buffering=BUFFER_BYTES)
    _refuse_other(uri, os.stat(path))
    return open(path, "rb", buffering=BUFFER_BYTES, opener=_open_at_once)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # A pipe put there since the check would block.


def _refuse_other(uri: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OptionsError(f"{uri}: is {kind}, no file; name a records file")


def open_inflated(uri: str) -> BinaryIO:
    """Opens a file for reading; one whose name ends in `.gz` is inflated in small steps.

    Raises:
        StorageError: The file cannot be opened.
        OptionsError: When it is read: the file is no gzip file, is cut off, or inflates beyond
            `triad_ml.transforms.files.gzip_reader.RATIO_CAP`.
    """
    stored = open_stored(uri)
    if not is_gzip(uri):
        return stored
    return inflated(stored, uri)


def is_gzip(uri: str) -> bool:
    """Returns True if the name of a file is that of a gzip file."""
    return uri.lower().endswith(".gz")


def size(file: BinaryIO) -> int:
    """Returns the current size in bytes of an open file, without changing its position."""
    position = file.tell()
    try:
        return file.seek(0, os.SEEK_END)
    finally:
        file.seek(position)


def unreadable(uri: str, error: OSError) -> StorageError:
    """Returns the error for a file that cannot be read."""
    why = " ".join((error.strerror or str(error)).split())
    return StorageError(f"{uri}: cannot be read: {why}; check the path and the permissions")
