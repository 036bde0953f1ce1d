"""Files below folders, opened so that no link, put there before or just now, leads out of them."""

import errno
import functools
import os
import stat
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

_ENTERED = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY  # a pipe must not block
_TRIES = 3

_Result = TypeVar("_Result")


class RefusedError(OSError):
    """A path that is not opened, whatever the system would say: it leads out, or is no file."""


class Root(NamedTuple):
    """A folder below which files may be opened.

    Attributes:
        start: Where each walk begins: an absolute path without links, that is trusted.
        path: `start`, or a folder below it that is entered like any other: without links.
    """

    start: str
    path: str


class Opened(NamedTuple):
    """A regular file that is open for reading.

    Attributes:
        descriptor: To be closed by who asked.
        status: Of what is open, not of what bears its name by now.
    """

    descriptor: int
    status: os.stat_result


class _LinkError(Exception):
    """A part of the path is a link."""


def root(folder: str, start: str) -> Root:
    """A root as it is named, with its links followed up to where walks start.

    Args:
        folder: Absolute; below it files may be opened.
        start: `folder`, or a folder above it if only that one is trusted.
    """
    inner = os.path.relpath(folder, start)
    if inner.split("/")[0] == "..":
        raise ValueError(f"{folder} is not below {start}")
    real = _real(start)
    return Root(real, os.path.normpath(os.path.join(real, inner)))


_real = functools.lru_cache(maxsize=256)(os.path.realpath)
"""Roots are few and stay where they are while a process runs."""


def open_file(path: str, roots: Sequence[Root]) -> Opened:
    """Opens a regular file that is below one of the roots.

    Each folder on the way is entered from the one before, by its descriptor, and never through a
    link: what was found to be below a root is what is opened, whoever renames what meanwhile. Links
    are read, and what they lead to is entered in the same way, if it is below a root too.

    Args:
        path: Absolute.
        roots: See `root`.

    Raises:
        RefusedError: Where it is outside the roots, a link in a circle, or no regular file.
        OSError: What the system says, such as FileNotFoundError or PermissionError.
    """
    return _reached(path, roots, _open)


def status(path: str, roots: Sequence[Root]) -> os.stat_result:
    """The status of a file, for which it need not be readable; else as `open_file`."""
    return _reached(path, roots, _status)


def open_folder(path: str, roots: Sequence[Root]) -> int:
    """Opens a folder that is a root or below one, for listing; links are not followed.

    Raises:
        RefusedError: Where a part of the path is a link or no folder.
        OSError: What the system says.
    """
    for one in roots:
        if path == one.path or _is_below(path, one.path):
            try:
                return _walked(one, f"{path}/.", _open_listed)
            except _LinkError:
                break
    raise RefusedError(errno.ENOTDIR, "is no folder, or leads out of those that may be read")


def _reached(path: str, roots: Sequence[Root], act: Callable[[str, int], _Result]) -> _Result:
    """Does something with a file's name and the descriptor of the folder that holds it."""
    if "/.." not in path:
        for one in roots:
            if _is_below(path, one.path):
                try:
                    return _walked(one, path, act)
                except _LinkError:
                    break
    for _ in range(_TRIES):  # a link may be put there after we looked, again and again
        try:
            real = os.path.realpath(path)
        except OSError as error:
            if error.errno == errno.EINVAL:  # a link that is none any more
                continue
            raise
        for one in roots:
            if _is_below(real, one.path):
                try:
                    return _walked(one, real, act)
                except _LinkError:
                    break
        else:
            raise RefusedError(errno.EXDEV, "leads out of the folders that may be read")
    raise RefusedError(errno.ELOOP, "a link in a circle, or one that changes all the time")


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder if folder == "/" else f"{folder}/")


def _walked(start: Root, path: str, act: Callable[[str, int], _Result]) -> _Result:
    *folders, name = path[len(start.start) :].split("/")
    folder = os.open(start.start, os.O_PATH | os.O_DIRECTORY)
    try:
        for part in folders:
            if part not in ("", "."):
                inner = _entered(part, folder)
                os.close(folder)
                folder = inner
        return act(name or ".", folder)
    finally:
        os.close(folder)


def _entered(part: str, folder: int) -> int:
    try:
        return os.open(part, _ENTERED, dir_fd=folder)
    except NotADirectoryError:
        mode = os.lstat(part, dir_fd=folder).st_mode
        if stat.S_ISLNK(mode) or stat.S_ISDIR(mode):  # or it is a folder again
            raise _LinkError from None
        raise


def _open(name: str, folder: int) -> Opened:
    _status(name, folder)  # pipes and devices are not even opened
    try:
        descriptor = os.open(name, _READ, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _LinkError from error
        raise
    try:
        return Opened(descriptor, _regular(os.fstat(descriptor)))
    except BaseException:
        os.close(descriptor)
        raise


def _open_listed(name: str, folder: int) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)


def _status(name: str, folder: int) -> os.stat_result:
    found = os.lstat(name, dir_fd=folder)
    if stat.S_ISLNK(found.st_mode):
        raise _LinkError
    return _regular(found)


def _regular(found: os.stat_result) -> os.stat_result:
    if not stat.S_ISREG(found.st_mode):
        raise RefusedError(errno.EINVAL, "is no file")
    return found
