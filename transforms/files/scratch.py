"""Temporary folders that are removed even if their process is killed.

A killed process removes nothing. Each folder is therefore locked as long as its process lives, and
a process that makes one removes all unlocked ones. This matters because a model can take gigabytes,
and the folder for temporary files is often in memory.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path

PREFIX = "triad-scratch-"
"""Prefix of the folders' names, in the system's folder for temporary files."""


class ScratchFolder:
    """A new folder that only this user can read or write.

    It is removed at the end of its `with` statement; without one, when this object is collected or
    the process ends. After a kill, the next process that makes such a folder removes it.

    Attributes:
        path: Path of the folder.

    Raises:
        OSError: If there is no room for the folder.
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
        """Removes the folder and its content."""
        self._end()


def _made() -> tuple[Path, int]:
    """Makes a folder; returns its path, and the descriptor that holds its lock."""
    while True:
        path = tempfile.mkdtemp(prefix=PREFIX)
        with contextlib.suppress(FileNotFoundError):  # another process removed it before the lock
            descriptor = _opened(path)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.lexists(path):
                return Path(path), descriptor
            os.close(descriptor)


def _remove_abandoned() -> None:
    """Removes the folders of this user whose processes have ended."""
    with os.scandir(tempfile.gettempdir()) as entries:
        paths = [entry.path for entry in entries if entry.name.startswith(PREFIX)]
    for path in paths:
        try:
            descriptor = _opened(path)
        except OSError:  # another user's, or removed meanwhile
            continue
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:  # locked: its process is alive
            continue
        finally:
            os.close(descriptor)


def _opened(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _remove(path: Path, descriptor: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(descriptor)
