"""Race-free opening of files below allowed folders; no symbolic link leads out of them."""

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
    """A path that is not opened: it leads out of the roots, or is no regular file."""


class Root(NamedTuple):
    """A folder below which files may be opened.

    Attributes:
        start: Trusted folder at which each walk begins: an absolute path without links.
        path: `start`, or a folder below it. Like every other folder below `start`, it is entered
            without following links.
    """

    start: str
    path: str


class Opened(NamedTuple):
    """A regular file that is open for reading.

    Attributes:
        descriptor: File descriptor, which the caller closes.
        status: Status of the open file, which may no longer be the file at its path.
    """

    descriptor: int
    status: os.stat_result


class _LinkError(Exception):
    """A part of the path is a link."""


def root(folder: str, start: str) -> Root:
    """Makes a root of a folder; links up to `start` are followed.

    Args:
        folder: Absolute path of the folder below which files may be opened.
        start: `folder`, or the trusted folder above it if `folder` itself is not trusted.
    """
    inner = os.path.relpath(folder, start)
    if inner.split("/")[0] == "..":
        raise ValueError(f"{folder} is not below {start}")
    real = _real(start)
    return Root(real, os.path.normpath(os.path.join(real, inner)))


_real = functools.lru_cache(maxsize=256)(os.path.realpath)
"""Cached `os.path.realpath`: roots are few, and do not move while a process runs."""


def open_file(path: str, roots: Sequence[Root]) -> Opened:
    """Opens a regular file that is below one of the roots.

    Each folder of the path is entered from its parent's descriptor, and never through a link. So
    the file that was found to be below a root is the file that is opened, even if somebody renames
    files meanwhile. A link is resolved, and its target is entered in the same way, if it is below a
    root too.

    Args:
        path: Absolute path of the file.
        roots: Folders below which files may be opened; see `root`.

    Raises:
        RefusedError: If the path is outside the roots, a circle of links, or no regular file.
        OSError: If the system refuses, such as FileNotFoundError or PermissionError.
    """
    return _reached(path, roots, _open)


def status(path: str, roots: Sequence[Root]) -> os.stat_result:
    """Returns the status of a file, which need not be readable; otherwise as `open_file`."""
    return _reached(path, roots, _status)


def open_folder(path: str, roots: Sequence[Root]) -> int:
    """Opens a folder that is a root or below one, for listing; links are not followed.

    Raises:
        RefusedError: If a part of the path is a link or no folder.
        OSError: If the system refuses.
    """
    for candidate in roots:
        if path == candidate.path or _is_below(path, candidate.path):
            try:
                return _walked(candidate, f"{path}/.", _open_listed)
            except _LinkError:
                break
    raise RefusedError(errno.ENOTDIR, "is no folder, or leads out of those that may be read")


def _reached(path: str, roots: Sequence[Root], act: Callable[[str, int], _Result]) -> _Result:
    """Calls `act` with a file's name and the descriptor of its folder.

    The path itself is tried first, then its real path, in which links are resolved.
    """
    if "/.." not in path:
        for candidate in roots:
            if _is_below(path, candidate.path):
                try:
                    return _walked(candidate, path, act)
                except _LinkError:
                    break
    for _ in range(_TRIES):  # somebody may create a link after each look
        try:
            real = os.path.realpath(path)
        except OSError as error:
            if error.errno == errno.EINVAL:  # a link that was replaced meanwhile
                continue
            raise
        for candidate in roots:
            if _is_below(real, candidate.path):
                try:
                    return _walked(candidate, real, act)
                except _LinkError:
                    break
        else:
            raise RefusedError(errno.EXDEV, "leads out of the folders that may be read")
    raise RefusedError(errno.ELOOP, "a link in a circle, or one that changes all the time")


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder if folder == "/" else f"{folder}/")


def _walked(start: Root, path: str, act: Callable[[str, int], _Result]) -> _Result:
    """Enters the folders of a path one by one, and calls `act` with the name and the folder."""
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
        if stat.S_ISLNK(mode) or stat.S_ISDIR(mode):  # a folder if a link was replaced meanwhile
            raise _LinkError from None
        raise


def _open(name: str, folder: int) -> Opened:
    _status(name, folder)  # refuses pipes and devices before they are opened
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
    result = os.lstat(name, dir_fd=folder)
    if stat.S_ISLNK(result.st_mode):
        raise _LinkError
    return _regular(result)


def _regular(result: os.stat_result) -> os.stat_result:
    if not stat.S_ISREG(result.st_mode):
        raise RefusedError(errno.EINVAL, "is no file")
    return result
