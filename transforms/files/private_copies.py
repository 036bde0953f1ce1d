"""Private copies of files that are checked first, and then opened by path by a library.

Somebody could change a file between the check and the library's reading. Nobody else can change a
private copy, so that the check and the library read the same bytes.
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
_MAX_DEPTH = 64  # of nested folders: copying and removing them is recursive
_REMEDY = "take the whole folder from its source again"


@contextlib.contextmanager
def private_copy(source: Path) -> Iterator[Path]:
    """Copies a file or a folder so that only this user can read or write it; removes it at exit.

    Args:
        source: Path of the original. Links may lead to it, but it may not contain any.

    Yields:
        Path of the copy, which has the name of the source.

    Raises:
        GateError: If the source contains a link, a pipe, a socket, a device or too deep folders.
        FileNotFoundError: If the source does not exist.
        OSError: If the source cannot be read, or there is no room for the copy.
    """
    with ScratchFolder() as scratch:
        copy = scratch / (source.name or "copy")
        try:
            _copy(source.resolve(strict=True), copy)
        except OSError as error:
            if error.filename is None:  # as in errors of writing
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
        # Without O_NONBLOCK, opening a pipe could block for ever.
        reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise _refused(source) from error
        raise
    if not stat.S_ISREG(os.fstat(reader).st_mode):  # a pipe, or a folder put there meanwhile
        os.close(reader)
        raise _refused(source)
    with open(reader, "rb") as file, target.open("wb") as copied:
        shutil.copyfileobj(file, copied, 2**20)


def _refused(path: Path) -> GateError:
    if path.is_symlink():
        return GateError(f"{path}: is a link, and what is checked lies in one folder; {_REMEDY}")
    return GateError(f"{path}: is no file; {_REMEDY}")
