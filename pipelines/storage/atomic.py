"""Atomic file operations on local folders and on Google Cloud Storage.

A path is local or begins with `gs://`. A file appears under its path as a whole or not at all:
locally, its content is written to a temporary file in the same folder, synced to disk, and renamed.
Every function raises `StorageError` with one line: the path, the reason and the remedy.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from triad_ml.pipelines.runtime import remedies
from triad_ml.pipelines.storage import cloud, local
from triad_ml.pipelines.storage.backend import StoredFile, _Storage
from triad_ml.transforms.errors import GateError, StorageError

LOCK = local.LOCK
"""Name of the file in a folder that is locked, or that, on Cloud Storage, marks a folder in use."""


def exists(path: str) -> bool:
    """Returns True if the file exists."""
    with explained(path):
        return _storage(path).exists(path)


def read_bytes(path: str) -> bytes:
    """Reads a file that must exist."""
    content = read_if_there(path)
    if content is None:
        raise StorageError(f"{path}: no such file; {remedies.remedy(errno.ENOENT)}")
    return content


def read_if_there(path: str) -> bytes | None:
    """Reads a file; returns None if it does not exist, or is no regular file."""
    with explained(path):
        return _storage(path).read(path)


def put(path: str, content: bytes) -> None:
    """Writes a file; an existing one is replaced."""
    with explained(path):
        _storage(path).put(path, content)


def write_new(path: str, content: bytes) -> bool:
    """Writes a file unless it exists already.

    Returns:
        True if it was written; False if it existed, unchanged.
    """
    with explained(path):
        return _storage(path).write_new(path, content)


def replace(path: str, content: bytes, expected: bytes | None) -> bool:
    """Writes a file only if it still holds `expected`; None means that it must not exist yet.

    If several callers try it at the same time, in any processes, at most one succeeds.

    Returns:
        True if it was written; False if the file holds something else, and is unchanged.
    """
    with explained(path):
        return _storage(path).replace(path, content, expected)


def list_files(folder: str) -> list[str]:
    """Returns the paths of the files directly in a folder, sorted; [] if the folder is missing."""
    with explained(folder):
        return [_join(folder, name) for name in sorted(_storage(folder).names(folder)[0])]


def list_folders(folder: str) -> list[str]:
    """Returns the paths of the folders directly in a folder, sorted; [] if that is missing."""
    with explained(folder):
        return [_join(folder, name) for name in sorted(_storage(folder).names(folder)[1])]


def tree(folder: str) -> list[StoredFile]:
    """Lists all files in and below a folder, sorted by path, including temporary files and locks.

    Links are listed, and never followed.
    """
    with explained(folder):
        return sorted(_storage(folder).tree(folder), key=lambda file: file.path)


def move(source: str, target: str) -> bool:
    """Moves a file within a disk or a bucket, unless the target exists.

    On a local disk, no other process may write to the target's folder meanwhile.

    Returns:
        True if it was moved; False if the target exists, with both files unchanged.
    """
    with explained(target):
        return _storage(target).move(source, target)


def delete(path: str) -> None:
    """Removes a file if it exists."""
    with explained(path):
        _storage(path).delete(path)


def delete_tree(folder: str) -> None:
    """Removes a folder with its content if it exists."""
    with explained(folder):
        _storage(folder).delete_tree(folder)


def remove_stale(folder: str) -> None:
    """Removes the temporary files that killed processes left in and below a folder.

    Those of living processes stay: a process holds a lock on its temporary file.
    """
    if _in_cloud(folder):
        return  # A bucket has no temporary files.
    with explained(folder):
        local.remove_stale(folder)


def delete_stale(path: str, dry_run: bool = False) -> bool:
    """Removes a temporary file if its process is dead; a dry run only checks it.

    Returns:
        True if it is removed, or would be; False if the process lives, or if the file is no
        temporary file of this package.
    """
    with explained(path):
        return not _in_cloud(path) and local.remove_unlocked(path, dry_run)


def delete_empty(folder: str) -> bool:
    """Removes a local folder if it holds no file but its lock; returns True if it was removed."""
    with explained(folder):
        return not _in_cloud(folder) and local.remove_empty(folder)


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Holds the lock of a local folder; others wait. On Cloud Storage it does nothing."""
    if _in_cloud(folder):
        yield
        return
    with contextlib.ExitStack() as stack:
        with explained(folder):
            stack.enter_context(local.folder_lock(folder))
        yield


@contextlib.contextmanager
def in_use(folder: str) -> Iterator[None]:
    """Marks a folder as in use, so that `unused` is False for it; several processes may do so.

    Locally, this is a lock that ends with the process. On Cloud Storage, it is an object whose time
    of change only shows when the last of the processes began.
    """
    with contextlib.ExitStack() as stack:
        with explained(folder):
            if _in_cloud(folder):
                cloud.CloudStorage().touch(_join(folder, LOCK))
            else:
                stack.enter_context(local.shared_lock(folder))
        yield


@contextlib.contextmanager
def unused(folder: str, dry_run: bool = False) -> Iterator[bool]:
    """Yields True if no process works in a local folder; within the block, none can begin to.

    On Cloud Storage this cannot be known, and it is always True.
    """
    with contextlib.ExitStack() as stack:
        free = True
        if not _in_cloud(folder):
            with explained(folder):
                free = stack.enter_context(local.unshared(folder, dry_run))
        yield free


def _storage(path: str) -> _Storage:
    return cloud.CloudStorage() if _in_cloud(path) else local.LocalStorage()


def _in_cloud(path: str) -> bool:
    return path.startswith(cloud.SCHEME)


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


@contextlib.contextmanager
def explained(path: str) -> Iterator[None]:
    """Raises errors of the block, at a path, as a `StorageError` with the reason and a remedy."""
    failures = cloud.failures() if _in_cloud(path) else (OSError,)
    try:
        yield
    except failures as error:
        code = getattr(error, "errno", None)
        text = os.strerror(code) if isinstance(code, int) else " ".join(str(error).split())
        reason = getattr(error, "strerror", None) or text
        failed = str(getattr(error, "filename", None) or path)
        same = failed == path or local.TEMPORARY.search(failed)
        where = path if same else f"{path} ({failed})"
        raise StorageError(
            f"{where}: {reason[:1].lower()}{reason[1:]}; {remedies.remedy(code)}"
        ) from error


def copy_down(folder: str, target: Path) -> None:
    """Copies a folder of a bucket to a local one.

    Raises:
        GateError: The name of an object leads out of the folder.
        StorageError: The bucket cannot be read.
    """
    root = folder.rstrip("/")
    for file in tree(root):
        if file.path.endswith("/"):
            continue  # Object that a console or TensorFlow makes for a folder.
        path = target / inside(file.path.removeprefix(f"{root}/"), root)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(read_bytes(file.path))


def inside(name: str, root: str) -> PurePosixPath:
    """Returns the path of an object relative to its folder.

    Raises:
        GateError: The name, taken as a path, leads out of the folder.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise GateError(
            f"{root}/{name}: leads out of {root}; take the folder from its source again"
        )
    return path
