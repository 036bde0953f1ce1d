"""Storage backend of local folders: atomic file operations and locks."""

import contextlib
import errno
import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from triad_ml.pipelines.storage.backend import StoredFile
from triad_ml.transforms.files import regular

TEMPORARY = re.compile(r"\.tmp-[0-9a-f]{32}$")

LOCK = ".lock"


class LocalStorage:
    """Storage backend of local folders; `storage.atomic` describes the functions."""

    def exists(self, path: str) -> bool:
        return os.path.isfile(path)

    def read(self, path: str) -> bytes | None:
        try:
            return regular.read(path)
        except FileNotFoundError:
            return None

    def put(self, path: str, content: bytes) -> None:
        with _temporary(path) as file:
            file.write(content)
            _to_disk(file)
            os.replace(file.name, path)
        _sync_folder(os.path.dirname(path))

    def write_new(self, path: str, content: bytes) -> bool:
        with _temporary(path) as file:
            file.write(content)
            _to_disk(file)
            try:
                os.link(file.name, path)  # Unlike a rename, it fails if the name is taken.
            except FileExistsError:
                if self.exists(path):
                    return False
                # Replaces a pipe or a dangling link; for a folder it fails.
                os.replace(file.name, path)
        _sync_folder(os.path.dirname(path))
        return True

    def replace(self, path: str, content: bytes, expected: bytes | None) -> bool:
        with folder_lock(os.path.dirname(path)):
            if self.read(path) != expected:
                return False
            self.put(path, content)
            return True

    def names(self, folder: str) -> tuple[list[str], list[str]]:
        files: list[str] = []
        folders: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    (folders if _is_folder(entry) else files).append(entry.name)
        except FileNotFoundError:
            return [], []
        return [n for n in files if n != LOCK and not TEMPORARY.search(n)], folders

    def move(self, source: str, target: str) -> bool:
        _make_folder(os.path.dirname(target))
        if os.path.lexists(target):
            return False
        os.rename(source, target)  # With a link it would be atomic, but not every disk has links.
        return True

    def delete(self, path: str) -> None:
        Path(path).unlink(missing_ok=True)

    def delete_tree(self, folder: str) -> None:
        if os.path.lexists(folder):
            shutil.rmtree(folder)

    def tree(self, folder: str) -> list[StoredFile]:
        files = []
        for parent, folders, names in os.walk(folder):
            links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
            for path in (os.path.join(parent, name) for name in [*names, *links]):
                with contextlib.suppress(FileNotFoundError):
                    status = os.lstat(path)
                    files.append(StoredFile(path, status.st_size, status.st_mtime))
        return files


@contextlib.contextmanager
def writing(path: str, overwrite: bool) -> Iterator[BinaryIO]:
    """Yields a file that appears under `path` as a whole when the block ends without an error.

    Raises:
        FileExistsError: The path exists, and `overwrite` is False.
    """
    with _temporary(path) as file:
        yield file
        _to_disk(file)
        if overwrite:
            os.replace(file.name, path)
        else:
            os.link(file.name, path)
    _sync_folder(os.path.dirname(path))


def remove_stale(folder: str) -> None:
    """Removes the temporary files below a folder that no living process has locked."""
    for parent, _, names in os.walk(folder):
        for name in filter(TEMPORARY.search, names):
            remove_unlocked(os.path.join(parent, name))


@contextlib.contextmanager
def _temporary(path: str) -> Iterator[BinaryIO]:
    """Yields a new file next to `path`, locked by this process, and removes it at the end."""
    _make_folder(os.path.dirname(path))
    while True:
        with open(f"{path}.tmp-{uuid.uuid4().hex}", "xb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not os.path.exists(file.name):
                continue  # Another process removed it as stale before it was locked.
            try:
                yield file
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(file.name)
            return


def remove_unlocked(path: str, dry_run: bool = False) -> bool:
    """Removes a temporary file that no living process has locked; True if it did, or would."""
    if not TEMPORARY.search(path):
        return False
    if not os.path.isfile(path):
        return False
    with contextlib.suppress(FileNotFoundError), regular.open_regular(path) as file:
        if _locked_at_once(file):  # Otherwise its process is alive.
            if not dry_run:
                os.unlink(path)
            return True
    return False


def remove_empty(folder: str) -> bool:
    """Removes a folder that holds only folders and, directly, its lock; returns True if it did."""
    if any(
        name != LOCK or parent != folder for parent, _, names in os.walk(folder) for name in names
    ):
        return False
    for parent, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(FileNotFoundError):
            if parent == folder:
                os.unlink(os.path.join(folder, LOCK))
        try:
            os.rmdir(parent)
        except OSError as error:
            if error.errno == errno.ENOTEMPTY:
                return False  # Another process began to write in it.
            raise
    return True


@contextlib.contextmanager
def folder_lock(folder: str) -> Iterator[None]:
    """Holds a folder's lock, for which others wait; makes the folder if it is missing."""
    with _lock_file(folder, fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def shared_lock(folder: str) -> Iterator[None]:
    """Holds a folder's lock, shared with others; makes the folder if it is missing."""
    with _lock_file(folder, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def unshared(folder: str, dry_run: bool = False) -> Iterator[bool]:
    """Takes the lock of an existing folder if no process holds it; yields True if it did."""
    path = os.path.join(folder, LOCK)
    if dry_run and not os.path.exists(path):
        yield True
        return
    with open(path, "rb" if dry_run else "ab", opener=_lock_opener) as file:
        yield _locked_at_once(file)


@contextlib.contextmanager
def _lock_file(folder: str, kind: int) -> Iterator[None]:
    while True:
        _make_folder(folder)
        try:
            file = open(os.path.join(folder, LOCK), "ab", opener=_lock_opener)
        except FileNotFoundError:
            continue  # The folder was removed just now.
        with file:
            fcntl.flock(file, kind)
            if _is_there(file):  # Otherwise the folder was removed while this process waited.
                yield
                return


def _lock_opener(path: str, flags: int) -> int:
    return regular.at_once(path, flags | os.O_NOFOLLOW)  # A link would make a file elsewhere.


def _locked_at_once(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _is_there(file: BinaryIO) -> bool:
    """Returns True if an open file is still the one under its name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(file.name))
    except FileNotFoundError:
        return False


def _make_folder(folder: str) -> None:
    """Makes a folder and those above it, and syncs them, so that they survive a power failure."""
    if not folder or os.path.isdir(folder):
        return
    parent = os.path.dirname(folder)
    _make_folder(parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder)
    if not os.path.isdir(folder):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), folder)
    _sync_folder(parent)


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
