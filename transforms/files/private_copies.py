"""Private copies of files that are checked first and then opened, by path, by a library.

Between a check and a library's own reading somebody else could change a file. What lies in a
private copy nobody else can change: the check and the library see the same bytes.
"""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from triad_ml.transforms.errors import GateError
from triad_ml.transforms.files.scratch import ScratchFolder

_NO_FILE = frozenset({errno.ELOOP, errno.ENXIO, errno.ENODEV})  # a link, a socket, a device
_MAX_DEPTH = 64  # of folders within one another: Python calls itself for each, also to remove them
_REMEDY = "take the whole folder from its source again"


@contextlib.contextmanager
def private_copy(source: Path) -> Iterator[Path]:
    """A copy of a file or a folder that only this user can read or write; removed in the end.

    Args:
        source: It may be reached by links; within it there are none.

    Yields:
        The copy, which has the name of the source.

    Raises:
        GateError: A link, a pipe, a socket or a device within the source, or too deep folders.
        FileNotFoundError: There is no such source.
        OSError: The source cannot be read, or there is no room for the copy.
    """
    with ScratchFolder() as scratch:
        copy = scratch / (source.name or "copy")
        try:
            _copy(source.resolve(strict=True), copy)
        except OSError as error:
            if error.filename is None:  # writing gives none
                raise OSError(error.errno, error.strerror, str(copy)) from error
            raise
        yield copy


def _copy(source: Path, target: Path, depth: int = 0) -> None:
    if not source.is_symlink() and source.is_dir():
        if depth > _MAX_DEPTH:
            raise GateError(
                f"{source}: lies in over {_MAX_DEPTH} folders of what is checked; {_REMEDY}"
            )
        target.mkdir(mode=0o700)
        for entry in sorted(os.listdir(source)):
            _copy(source / entry, target / entry, depth + 1)
        return
    try:
        # A pipe would block for ever without O_NONBLOCK.
        reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise _refused(source) from error
        raise
    if not stat.S_ISREG(os.fstat(reader).st_mode):  # it may have become a folder meanwhile
        os.close(reader)
        raise _refused(source)
    with open(reader, "rb") as file, target.open("wb") as copied:
        shutil.copyfileobj(file, copied, 2**20)


def _refused(path: Path) -> GateError:
    if path.is_symlink():
        return GateError(f"{path}: is a link, and what is checked lies in one folder; {_REMEDY}")
    return GateError(f"{path}: is no file; {_REMEDY}")
