"""Folders for what is of no use once this process has ended, however it ends.

A process that is killed removes nothing. So each folder is locked as long as its process lives, and
whoever makes one removes those that nobody holds any more: a model is up to gigabytes, and the
place for such folders is often memory.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path

PREFIX = "triad-scratch-"
"""Of the names of these folders, in the system's folder for temporary files."""


class ScratchFolder:
    """An empty folder that only this user can read or write.

    It is removed where its `with` statement ends, else with this object, else when the process
    ends, and after a kill by the process that makes the next one.

    Attributes:
        path: Where it is.

    Raises:
        OSError: There is no room for it.
    """

    def __init__(self) -> None:
        _remove_abandoned()
        self.path, descriptor = _made()
        self._end = weakref.finalize(self, _remove, self.path, descriptor)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes the folder with all that is in it."""
        self._end()


def _made() -> tuple[Path, int]:
    """A new folder, and the descriptor that holds its lock."""
    while True:
        path = tempfile.mkdtemp(prefix=PREFIX)
        with contextlib.suppress(FileNotFoundError):  # taken for abandoned before it was locked
            descriptor = _opened(path)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.lexists(path):
                return Path(path), descriptor
            os.close(descriptor)


def _remove_abandoned() -> None:
    """Removes what processes of this user left that are no more."""
    with os.scandir(tempfile.gettempdir()) as entries:
        found = [entry.path for entry in entries if entry.name.startswith(PREFIX)]
    for path in found:
        try:
            descriptor = _opened(path)
        except OSError:  # somebody else's, or gone meanwhile
            continue
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:  # its process lives
            continue
        finally:
            os.close(descriptor)


def _opened(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _remove(path: Path, descriptor: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(descriptor)
