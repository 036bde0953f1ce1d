"""Non-blocking reading of regular files from folders that other users can write to.

Opening a pipe waits for its writer, and some devices never end. A path of a pipe, a device, a
folder or a dangling link is therefore treated as a missing file.
"""

import errno
import io
import os
import stat
from pathlib import Path

_NO_FILE = frozenset({errno.ENXIO, errno.ENODEV, errno.ELOOP, errno.ENOTDIR})
"""Errors of a socket, an absent device, a circle of links, and a file in place of a folder."""


def open_regular(path: str | Path) -> io.BufferedReader:
    """Opens a regular file for reading; links are followed.

    Raises:
        FileNotFoundError: If there is no regular file at the path.
        OSError: If the file cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise _no_file(path) from error
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return open(descriptor, "rb")
    os.close(descriptor)
    raise _no_file(path)


def read(path: str | Path) -> bytes:
    """Returns the content of a regular file.

    Raises:
        OSError: See `open_regular`.
    """
    with open_regular(path) as file:
        return file.read()


def _no_file(path: str | Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def at_once(path: str, flags: int) -> int:
    """Opens a path as an `opener` of `open`, without waiting for the other end of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK, 0o666)
