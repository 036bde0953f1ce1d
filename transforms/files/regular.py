"""Files of a folder that others can write to: only regular ones are read, and nobody is waited for.

Opening a pipe waits for its writer, and some devices have no end. Where such a thing, a folder or a
link to nothing lies in a file's place, there is no file.
"""

import errno
import io
import os
import stat
from pathlib import Path

_NO_FILE = frozenset({errno.ENXIO, errno.ENODEV, errno.ELOOP, errno.ENOTDIR})
"""A socket, a device that is not there, a link to itself, a file where a folder belongs."""


def open_regular(path: str | Path) -> io.BufferedReader:
    """Opens a file to be read; a link to one is followed.

    Raises:
        FileNotFoundError: There is none, or something else.
        OSError: The file cannot be opened.
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
    """The content of a file.

    Raises:
        OSError: See `open_regular`.
    """
    with open_regular(path) as file:
        return file.read()


def _no_file(path: str | Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def at_once(path: str, flags: int) -> int:
    """An opener for `open`: it waits for nobody at the other end of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK, 0o666)
