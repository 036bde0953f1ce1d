"""Listing of a watched folder: its files at all levels, and reasons for refused entries."""

import errno
import glob
import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from triad_ml.pipelines.storage import atomic
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.files import beneath
from triad_ml.transforms.media import uris

DEEPEST = 64
"""Most levels of nested folders that are listed."""

HEAD_BYTES = 64
"""Number of leading bytes by which images and audio are recognized."""

_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", "~")
_WHY = {
    errno.EXDEV: "is a link that leads out of the folder",
    errno.ELOOP: "is a link in a circle",
    errno.ENOENT: "is a link to nothing",
    errno.EINVAL: "is neither a file nor a folder",
    errno.EACCES: "this user may not read it; give it the right to",
    errno.EPERM: "this user may not read it; give it the right to",
}
_TOO_DEEP = f"lies below more than {DEEPEST} folders"
_LINK_TO_NO_FILE = "is a link to something else than a file; put files or folders here"


def check(path: str) -> None:
    """Checks that there is a folder to watch.

    Raises:
        OptionsError: If the path is no folder.
    """
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path) or "."
    if os.path.isfile(path) or (glob.has_magic(path) and os.path.isdir(parent)):
        folder = shlex.quote(parent)
        raise OptionsError(f"--source: {path}: a folder is watched; name it: --source {folder}")
    raise OptionsError(f"--source: {path}: is no folder; make it, or name another")


class File(NamedTuple):
    """File as it was listed.

    Attributes:
        name: Path relative to the folder.
        size: Size in bytes.
        changed: Modification time in nanoseconds since 1970; it may be any number.
    """

    name: str
    size: int
    changed: int

    @property
    def version(self) -> str:
        return f"{self.size}-{self.changed}"


class Listing(NamedTuple):
    """Content of a folder.

    Attributes:
        files: Files, in the order of their names.
        refused: Reason for which an entry is not read, by its path relative to the folder.
    """

    files: list[File]
    refused: dict[str, str]


class Folder:
    """Folder that is listed, and whose files are opened, without leaving it.

    A link is followed if it leads to a file below the folder or below another root. Names that
    begin with a dot or an underscore, or end like those of unfinished files, are skipped.

    Args:
        path: Path of the folder.
        roots: Further folders to which links may lead; those that are not local are ignored.
    """

    def __init__(self, path: str, roots: Sequence[str] = ()) -> None:
        self._path = path
        self._roots = uris.local_roots(uris.Roots(os.path.abspath(path), tuple(roots)))

    def listing(self) -> Listing:
        """Lists the current content.

        Raises:
            StorageError: If the folder cannot be listed, or the disk fails.
        """
        files: list[File] = []
        refused: dict[str, str] = {}
        folders = [""]
        with atomic.explained(self._path):
            while folders:
                folder = folders.pop()
                try:
                    for name, entry in self._entries(folder):
                        if isinstance(entry, File):
                            files.append(entry)
                        elif entry is None:
                            folders.append(name)
                        else:
                            refused[name] = entry
                except PermissionError as error:
                    if not folder:
                        raise
                    refused[folder] = why(error)
                except (FileNotFoundError, NotADirectoryError, beneath.RefusedError):
                    if not folder:
                        raise
                    # The folder was removed, or replaced by something else, during the listing.
        return Listing(sorted(files), refused)

    def head(self, name: str) -> bytes:
        """Returns the first `HEAD_BYTES` bytes of a file.

        Raises:
            OSError: If it cannot be read.
        """
        descriptor, _ = beneath.open_file(self._absolute(name), self._roots)
        try:
            return os.read(descriptor, HEAD_BYTES)
        finally:
            os.close(descriptor)

    def status(self, name: str) -> File:
        """Returns a file's current size and modification time.

        Raises:
            OSError: If it is no file, or is in a folder that cannot be entered.
        """
        status = beneath.status(self._absolute(name), self._roots)
        return File(name, status.st_size, status.st_mtime_ns)

    def _absolute(self, name: str) -> str:
        return os.path.join(self._roots[0].path, name)

    def _entries(self, folder: str) -> Iterator[tuple[str, File | str | None]]:
        """Yields a folder's entries by name: a file, None for a folder, or why it is neither."""
        descriptor = beneath.open_folder(self._absolute(folder).rstrip("/"), self._roots[:1])
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    name = os.path.join(folder, entry.name)
                    if entry.name[0] in "._":
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        yield name, None if name.count("/") < DEEPEST else _TOO_DEEP
                    elif not entry.name.lower().endswith(_UNFINISHED):
                        file = self._file(name, entry)
                        if file is not None:
                            yield name, file
        finally:
            os.close(descriptor)

    def _file(self, name: str, entry: os.DirEntry[str]) -> File | str | None:
        """Returns an entry as a file, or the reason for which it is none; None if it is gone."""
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        if stat.S_ISREG(status.st_mode):
            return File(name, status.st_size, status.st_mtime_ns)
        if not stat.S_ISLNK(status.st_mode):
            return _WHY[errno.EINVAL]
        try:
            return self.status(name)
        except OSError as error:
            return _LINK_TO_NO_FILE if error.errno == errno.EINVAL else why(error)


def why(error: OSError) -> str:
    """Returns the reason for which a file is not read after this error.

    Raises:
        OSError: If the error is the disk's and not the file's: the error itself.
    """
    if error.errno not in _WHY:
        raise error
    return _WHY[error.errno]
