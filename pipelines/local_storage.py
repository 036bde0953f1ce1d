"""Atomic file operations on local folders."""

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

TEMPORARY = re.compile(r"\.tmp-[0-9a-f]{32}$")

_LOCK = ".lock"


class LocalStorage:
    """See `storage` for what each function promises."""

    def exists(self, path: str) -> bool:
        return os.path.isfile(path)

    def read(self, path: str) -> bytes | None:
        try:
            return Path(path).read_bytes()
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
                os.link(file.name, path)  # unlike a rename it fails where the name is taken
            except FileExistsError:
                return False
        _sync_folder(os.path.dirname(path))
        return True

    def replace(self, path: str, content: bytes, expected: bytes | None) -> bool:
        with folder_lock(os.path.dirname(path)):
            if self.read(path) != expected:
                return False
            self.put(path, content)
            return True

    def upload(self, local: str, path: str) -> None:
        with open(local, "rb") as source, _temporary(path) as file:
            shutil.copyfileobj(source, file)
            _to_disk(file)
            os.replace(file.name, path)
        _sync_folder(os.path.dirname(path))

    def names(self, folder: str) -> tuple[list[str], list[str]]:
        files: list[str] = []
        folders: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    (folders if entry.is_dir() else files).append(entry.name)
        except FileNotFoundError:
            return [], []
        return [n for n in files if n != _LOCK and not TEMPORARY.search(n)], folders

    def delete(self, path: str) -> None:
        Path(path).unlink(missing_ok=True)

    def delete_tree(self, folder: str) -> None:
        if os.path.lexists(folder):
            shutil.rmtree(folder)


def remove_stale(folder: str) -> None:
    """Removes the temporary files below a folder that no living process has locked."""
    for parent, _, names in os.walk(folder):
        for name in filter(TEMPORARY.search, names):
            _remove_unlocked(os.path.join(parent, name))


@contextlib.contextmanager
def _temporary(path: str) -> Iterator[BinaryIO]:
    """A new file beside `path`: locked while this process lives, gone afterwards."""
    _make_folder(os.path.dirname(path))
    while True:
        with open(f"{path}.tmp-{uuid.uuid4().hex}", "xb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not os.path.exists(file.name):
                continue  # removed as stale before it was locked
            try:
                yield file
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(file.name)
            return


def _remove_unlocked(path: str) -> None:
    with contextlib.suppress(FileNotFoundError), open(path, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # its process is alive
        os.unlink(path)


@contextlib.contextmanager
def folder_lock(folder: str) -> Iterator[None]:
    """Holds a folder's lock, makes the folder where it is missing; others wait."""
    _make_folder(folder)
    with open(os.path.join(folder, _LOCK), "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_folder(folder: str) -> None:
    """Makes a folder and those above it, and takes care that they outlive a power cut."""
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
