"""The few file operations that publishing needs, on local folders and on Google Cloud Storage.

A path is local or begins with `gs://`. Whatever appears under a path appears whole: content goes to
a temporary file beside it, reaches the disk, and is renamed. Every function raises `StorageError`
with one line that names the path, the reason and what to do.
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
"""Name of the file that is locked in a folder, or, on Cloud Storage, shows that it is in use."""


def exists(path: str) -> bool:
    """Whether there is a file."""
    with explained(path):
        return _storage(path).exists(path)


def read_bytes(path: str) -> bytes:
    """The content of a file that must be there."""
    content = read_if_there(path)
    if content is None:
        raise StorageError(f"{path}: no such file; {remedies.remedy(errno.ENOENT)}")
    return content


def read_if_there(path: str) -> bytes | None:
    """The content of a file, or None where there is none, or something else."""
    with explained(path):
        return _storage(path).read(path)


def put(path: str, content: bytes) -> None:
    """Writes a file, or replaces the one that is there."""
    with explained(path):
        _storage(path).put(path, content)


def write_new(path: str, content: bytes) -> bool:
    """Writes a file unless there is one already.

    Returns:
        False where there was one: it is unchanged.
    """
    with explained(path):
        return _storage(path).write_new(path, content)


def replace(path: str, content: bytes, expected: bytes | None) -> bool:
    """Writes a file only if it still holds `expected`; None means that there is none yet.

    Of several callers at the same time, in whatever processes, one at most succeeds.

    Returns:
        False where the file holds something else: it is unchanged.
    """
    with explained(path):
        return _storage(path).replace(path, content, expected)


def list_files(folder: str) -> list[str]:
    """Paths of the files that lie in a folder itself, sorted; none where there is no folder."""
    with explained(folder):
        return [_join(folder, name) for name in sorted(_storage(folder).names(folder)[0])]


def list_folders(folder: str) -> list[str]:
    """Paths of the folders that lie in a folder itself, sorted; none where there is no folder."""
    with explained(folder):
        return [_join(folder, name) for name in sorted(_storage(folder).names(folder)[1])]


def tree(folder: str) -> list[StoredFile]:
    """All files in a folder and below it, sorted by path: temporary files and locks too.

    Links are listed as what they are and never followed.
    """
    with explained(folder):
        return sorted(_storage(folder).tree(folder), key=lambda file: file.path)


def move(source: str, target: str) -> bool:
    """Gives a file another name on the same disk or in the same bucket, unless that is taken.

    On a local disk no other process may write in the target's folder meanwhile.

    Returns:
        False where there is a file of that name: both are unchanged.
    """
    with explained(target):
        return _storage(target).move(source, target)


def delete(path: str) -> None:
    """Removes a file, if it is there."""
    with explained(path):
        _storage(path).delete(path)


def delete_tree(folder: str) -> None:
    """Removes a folder and all it holds, if it is there."""
    with explained(folder):
        _storage(folder).delete_tree(folder)


def remove_stale(folder: str) -> None:
    """Removes the temporary files that killed processes left in a folder and below it.

    Those of living processes stay: a process holds a lock on its temporary file.
    """
    if _in_cloud(folder):
        return  # an object is there whole or not at all
    with explained(folder):
        local.remove_stale(folder)


def delete_stale(path: str, dry_run: bool = False) -> bool:
    """Removes a temporary file if its process is dead; a dry run only looks.

    Returns:
        False where the process lives, or the file is none of those that this package writes.
    """
    with explained(path):
        return not _in_cloud(path) and local.remove_unlocked(path, dry_run)


def delete_empty(folder: str) -> bool:
    """Removes a folder that holds no file but its lock; whether it did. Objects need none."""
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
    """Keeps a folder from being removed by `unused` while several processes may work in it.

    Locally it is a lock that ends with the process. On Cloud Storage it is an object that shows
    only when the latest of them began.
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
    """Whether no process works in a local folder; while it is held, none can begin to.

    On Cloud Storage nobody can know: it is always True.
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
    """Makes a `StorageError` of what fails at a path."""
    failures = cloud.failures() if _in_cloud(path) else (OSError,)
    try:
        yield
    except failures as error:
        code = getattr(error, "errno", None)
        said = os.strerror(code) if isinstance(code, int) else " ".join(str(error).split())
        reason = getattr(error, "strerror", None) or said
        place = str(getattr(error, "filename", None) or path)
        same = place == path or local.TEMPORARY.search(place)
        where = path if same else f"{path} ({place})"
        raise StorageError(
            f"{where}: {reason[:1].lower()}{reason[1:]}; {remedies.remedy(code)}"
        ) from error


def copy_down(folder: str, place: Path) -> None:
    """Copies a folder of a bucket to a local one.

    Raises:
        GateError: Where an object's name leads out of the folder.
        StorageError: Where the bucket cannot be read.
    """
    root = folder.rstrip("/")
    for file in tree(root):
        if file.path.endswith("/"):
            continue  # what a console or TensorFlow makes for a folder
        path = place / inside(file.path.removeprefix(f"{root}/"), root)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(read_bytes(file.path))


def inside(name: str, root: str) -> PurePosixPath:
    """The path of an object below its folder.

    Raises:
        GateError: Where the name, taken as a path, leads out of the folder.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise GateError(
            f"{root}/{name}: leads out of {root}; take the folder from its source again"
        )
    return path
