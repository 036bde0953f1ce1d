"""Checks of output paths: a command writes only to new or empty folders, and to its own outputs.

A mark in a folder shows which command made it: a manifest, or the file `MARK`.
"""

import os
from collections.abc import Callable

from triad_ml.pipelines.storage import atomic, cloud
from triad_ml.transforms.errors import OptionsError

MARK = ".triad"
"""Name of the file in a folder that names the command that made the folder."""

_HEAD = 2**16
_SYSTEMS = ("lost+found",)


def check_folder(
    output: str,
    command: str,
    ours: Callable[[], bool],
    bare: bool = False,
    flag: str = "--output",
) -> None:
    """Refuses a folder with content that the command did not write.

    Args:
        output: Path of the folder, local or in a bucket.
        command: Name of the command for the message, such as `train`.
        ours: Function that returns True if the content shows that the command made the folder.
        bare: True if files of the system and empty folders are refused too, because another folder
            will be renamed to this path.
        flag: Option with which the user named the folder.

    Raises:
        OptionsError: The folder has such content; the message names an entry.
        StorageError: The folder cannot be listed.
    """
    if not _in_cloud(output) and os.path.lexists(output) and not os.path.isdir(output):
        raise _refused(output, "is no folder", f"choose another {flag}")
    entry = _everything(output) if bare else _something(output)
    if entry is not None and not ours():
        raise _refused(
            output,
            f"holds {entry!r}, which triad {command} did not write there",
            f"choose another {flag}, a new or an empty folder",
        )


def check_file(output: str, mark: bytes, what: str, flag: str = "--output") -> None:
    """Refuses an existing file that Triad did not write, since it would be replaced.

    Args:
        output: Path of the file, local or in a bucket.
        mark: Bytes in the first 64 KiB of each file of this kind that Triad writes.
        what: Kind of file for the message.
        flag: Option with which the user named the file.

    Raises:
        OptionsError: The path is something else.
        StorageError: The file cannot be read.
    """
    if not _in_cloud(output) and os.path.exists(output) and not os.path.isfile(output):
        raise _refused(output, "is no file", f"choose another {flag}")
    head = _head(output)
    if head and mark not in head:
        raise _refused(output, f"is there, and is no {what}", f"choose another {flag}")


def check_local(output: str, flag: str) -> None:
    """Refuses a file that is not on this machine, or whose folder is missing.

    Args:
        output: Path of the file.
        flag: Option with which the user named the file.

    Raises:
        OptionsError: See above.
    """
    if "://" in output:
        raise OptionsError(f"{flag}: {output}: is not on this machine; name a local file")
    folder = os.path.dirname(os.path.abspath(output))
    if not os.path.isdir(folder):
        raise OptionsError(f"{flag}: {output}: {folder} is no folder; make it, or name another")


def mark(folder: str, command: str) -> None:
    """Marks a folder as made by a command."""
    atomic.write_new(f"{folder}/{MARK}", f"made by triad {command}\n".encode())


def is_marked(folder: str, command: str) -> bool:
    """Returns True if `mark` marked the folder for the same command."""
    return atomic.read_if_there(f"{folder}/{MARK}") == f"made by triad {command}\n".encode()


def _something(folder: str) -> str | None:
    """Returns the name of a file or non-empty folder in a folder, without those of the system."""
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
            return b""  # NotADirectoryError is reported when the file is written.


def _refused(output: str, why: str, remedy: str) -> OptionsError:
    return OptionsError(f"{output}: {why}; {remedy}")


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _in_cloud(path: str) -> bool:
    return path.startswith(cloud.SCHEME)
