"""Where a command may write: what is new or empty, and what it made itself; nothing else.

A folder shows by a mark who made it: a manifest, or the file `MARK` in it.
"""

import os
from collections.abc import Callable

from triad_ml.pipelines.storage import atomic, cloud
from triad_ml.transforms.errors import OptionsError

MARK = ".triad"
"""Name of the file that says which command made the folder that it lies in."""

_HEAD = 2**16
_SYSTEMS = ("lost+found",)


def check_folder(
    output: str,
    command: str,
    ours: Callable[[], bool],
    bare: bool = False,
    flag: str = "--output",
) -> None:
    """Refuses a folder that holds something which is not the command's.

    Args:
        output: Local, or in a bucket.
        command: Stands in the line, such as `train`.
        ours: Says whether what is in the folder shows that the command made it.
        bare: Refuse even what the system keeps in folders, and empty folders: a folder that is
            renamed to this one needs its place for itself.
        flag: By which the folder was given.

    Raises:
        OptionsError: Naming something that is there.
        StorageError: Where the folder cannot be listed.
    """
    if not _in_cloud(output) and os.path.lexists(output) and not os.path.isdir(output):
        raise _refused(output, "is no folder", f"choose another {flag}")
    found = _everything(output) if bare else _something(output)
    if found is not None and not ours():
        raise _refused(
            output,
            f"holds {found!r}, which triad {command} did not write there",
            f"choose another {flag}, a new or an empty folder",
        )


def check_file(output: str, mark: bytes, what: str, flag: str = "--output") -> None:
    """Refuses a file that is not one of ours, whatever its name: it would be replaced.

    Args:
        output: Local, or in a bucket.
        mark: Stands in the first 64 KiB of each file of ours.
        what: Such a file, in words.
        flag: By which the file was given.

    Raises:
        OptionsError: Where there is something else.
        StorageError: Where the file cannot be read.
    """
    if not _in_cloud(output) and os.path.exists(output) and not os.path.isfile(output):
        raise _refused(output, "is no file", f"choose another {flag}")
    head = _head(output)
    if head and mark not in head:
        raise _refused(output, f"is there, and is no {what}", f"choose another {flag}")


def mark(folder: str, command: str) -> None:
    """Lets a folder say that a command made it."""
    atomic.write_new(f"{folder}/{MARK}", f"made by triad {command}\n".encode())


def is_marked(folder: str, command: str) -> bool:
    """Whether `mark` was called for the folder by the same command."""
    return atomic.read_if_there(f"{folder}/{MARK}") == f"made by triad {command}\n".encode()


def _something(folder: str) -> str | None:
    """The name of a file, or of a folder that is not empty."""
    for path in atomic.list_files(folder):
        if not _is_systems(path):
            return _name(path)
    for path in atomic.list_folders(folder):
        if not _is_systems(path) and (atomic.list_files(path) or atomic.list_folders(path)):
            return _name(path)
    return None


def _everything(folder: str) -> str | None:
    if _in_cloud(folder):
        return next(map(_name, atomic.list_files(folder) + atomic.list_folders(folder)), None)
    with atomic.explained(folder):
        return next(iter(sorted(os.listdir(folder))), None) if os.path.isdir(folder) else None


def _is_systems(path: str) -> bool:
    name = _name(path)
    return name.startswith(".") or name in _SYSTEMS


def _head(path: str) -> bytes:
    if _in_cloud(path):
        return (atomic.read_if_there(path) or b"")[:_HEAD]
    with atomic.explained(path):
        try:
            with open(path, "rb") as file:
                return file.read(_HEAD)
        except (FileNotFoundError, NotADirectoryError):
            return b""  # the latter is told where the file is written


def _refused(output: str, why: str, remedy: str) -> OptionsError:
    return OptionsError(f"{output}: {why}; {remedy}")


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _in_cloud(path: str) -> bool:
    return path.startswith(cloud.SCHEME)
