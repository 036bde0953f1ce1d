"""What lies in a watched folder and below it: its files, and what is none and why."""

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
"""Folders in folders that are listed."""

HEAD_BYTES = 64
"""As much of a file as tells pictures and sounds from other files."""

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
    """Raises OptionsError where there is no folder to watch."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path) or "."
    if os.path.isfile(path) or (glob.has_magic(path) and os.path.isdir(parent)):
        folder = shlex.quote(parent)
        raise OptionsError(f"--source: {path}: a folder is watched; name it: --source {folder}")
    raise OptionsError(f"--source: {path}: is no folder; make it, or name another")


class File(NamedTuple):
    """A file as it was listed.

    Attributes:
        name: Relative to the folder.
        size: In bytes.
        changed: In nanoseconds since 1970, whatever the file says.
    """

    name: str
    size: int
    changed: int

    @property
    def version(self) -> str:
        return f"{self.size}-{self.changed}"


class Listing(NamedTuple):
    """What was found.

    Attributes:
        files: In the order of their names.
        refused: Why something is not read, by its name relative to the folder.
    """

    files: list[File]
    refused: dict[str, str]


class Folder:
    """Lists a folder, and opens what is in it, without ever leaving it.

    A link is followed if it leads to a file below the folder, or below another root. Names that
    begin with a dot or an underscore, or end as unfinished files do, are passed over.

    Args:
        path: Of the folder.
        roots: Further folders, local or not, that links may lead to.
    """

    def __init__(self, path: str, roots: Sequence[str] = ()) -> None:
        self._path = path
        self._roots = uris.local_roots(uris.Roots(os.path.abspath(path), tuple(roots)))

    def listing(self) -> Listing:
        """Lists what is there now.

        Raises:
            StorageError: Where the folder cannot be listed, or the disk fails.
        """
        files: list[File] = []
        refused: dict[str, str] = {}
        folders = [""]
        with atomic.explained(self._path):
            while folders:
                folder = folders.pop()
                try:
                    for name, found in self._entries(folder):
                        if isinstance(found, File):
                            files.append(found)
                        elif found is None:
                            folders.append(name)
                        else:
                            refused[name] = found
                except PermissionError as error:
                    if not folder:
                        raise
                    refused[folder] = why(error)
                except (FileNotFoundError, NotADirectoryError, beneath.RefusedError):
                    if not folder:
                        raise
                    # It was removed, or swapped for something else, just now.
        return Listing(sorted(files), refused)

    def head(self, name: str) -> bytes:
        """The first `HEAD_BYTES` of a file.

        Raises:
            OSError: Where it cannot be read.
        """
        descriptor, _ = beneath.open_file(self._absolute(name), self._roots)
        try:
            return os.read(descriptor, HEAD_BYTES)
        finally:
            os.close(descriptor)

    def status(self, name: str) -> File:
        """A file as it is now.

        Raises:
            OSError: Where it is no file, or lies in a folder that cannot be entered.
        """
        found = beneath.status(self._absolute(name), self._roots)
        return File(name, found.st_size, found.st_mtime_ns)

    def _absolute(self, name: str) -> str:
        return os.path.join(self._roots[0].path, name)

    def _entries(self, folder: str) -> Iterator[tuple[str, File | str | None]]:
        """Of a folder by name: files, None for folders, and why something is neither."""
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
                        found = self._found(name, entry)
                        if found is not None:
                            yield name, found
        finally:
            os.close(descriptor)

    def _found(self, name: str, entry: os.DirEntry[str]) -> File | str | None:
        """A file, or why it is none; None for what is gone."""
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
    """What is wrong with a file that is not read for this error.

    Raises:
        OSError: The error, where it is the disk's and not the file's.
    """
    if error.errno not in _WHY:
        raise error
    return _WHY[error.errno]
