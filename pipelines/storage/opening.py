"""Opening of input files, local or `gs://`, for reading as they are stored or inflated."""

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

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


_confined: dict[str, beneath.Root] = {}


def scheme(uri: str) -> str:
    """The scheme in lower case, or "" for a local path."""
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
    """The path of a local file, None where it is in a bucket; see `uris.spelled`."""
    return uris.local_path(uri) if scheme(uri) in ("", "file") else None


def confine(folder: str) -> None:
    """From now on this process opens no file below a folder that a link leads out of it.

    It is for folders that others put files into while we read: whoever opens one of them does it
    by `open_stored`, and need not know.
    """
    absolute = os.path.abspath(folder)
    _confined[absolute] = beneath.root(absolute, absolute)


def open_stored(uri: str) -> BinaryIO:
    """Opens a file for reading; nothing is inflated, whatever its name is.

    Raises:
        OptionsError: Where it is a pipe, a folder or whatever else is no file; nothing waits.
        StorageError: Where it cannot be opened.
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
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe that was put there just now would wait


def _refuse_other(uri: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OptionsError(f"{uri}: is {kind}, no file; name a records file")


def open_inflated(uri: str) -> BinaryIO:
    """Opens a file for reading; one named `.gz` is inflated in small steps.

    Raises:
        StorageError: Where it cannot be opened.
        OptionsError: On reading, where the file is no gzip file, is cut off, or inflates beyond
            `triad_ml.transforms.files.gzip_reader.RATIO_CAP`.
    """
    stored = open_stored(uri)
    if not is_gzip(uri):
        return stored
    return inflated(stored, uri)


def is_gzip(uri: str) -> bool:
    """Whether the name says that the file is compressed."""
    return uri.lower().endswith(".gz")


def size(file: BinaryIO) -> int:
    """Bytes of an open file as it is now; the position stays."""
    position = file.tell()
    try:
        return file.seek(0, os.SEEK_END)
    finally:
        file.seek(position)


def unreadable(uri: str, error: OSError) -> StorageError:
    """The error for a file that the system does not give."""
    why = " ".join((error.strerror or str(error)).split())
    return StorageError(f"{uri}: cannot be read: {why}; check the path and the permissions")
