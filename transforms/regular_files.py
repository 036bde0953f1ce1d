"""Files that are opened at once or not at all.

Whoever may write in a folder can put a pipe under a name that we read: it would be waited for, for
ever and without a word.
"""

import errno
import io
import os
import stat
from pathlib import Path

_NO_FILE = "Is a pipe, a socket or a device, and no file"


def opened(path: str | Path) -> io.BufferedReader:
    """A file for reading; links are followed.

    Raises:
        OSError: Where it cannot be opened, or is no regular file.
    """
    file = open(path, "rb", opener=at_once)  # noqa: SIM115, the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.ENXIO, _NO_FILE, str(path))
    return file


def content(path: str | Path) -> bytes:
    """What is in a file.

    Raises:
        OSError: See `opened`.
    """
    with opened(path) as file:
        return file.read()


def at_once(path: str, flags: int) -> int:
    """An opener for `open`: it waits for nobody at the other end of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK, 0o666)
