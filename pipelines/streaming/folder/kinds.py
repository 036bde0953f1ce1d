"""Kinds of the files of a watched folder, and log messages about files that are not read."""

import logging
import os
from collections.abc import Mapping

from triad_ml.pipelines.sources.read import SUFFIXES
from triad_ml.pipelines.streaming.folder import listing
from triad_ml.pipelines.streaming.folder.listing import File
from triad_ml.transforms.media import uris
from triad_ml.transforms.media.registry import MEDIA

_log = logging.getLogger(__name__)

MEDIA_SUFFIXES: Mapping[str, str] = {
    suffix: name for name, kind in MEDIA.items() for suffix in kind.suffixes
}
"""Modality by suffix of a file's name, in lower case, for files whose content does not show it."""

RECORDS = "records"

TOLD_A_LOOK = 20
"""Most lines in the log for each look at the folder; the rest follows at the next looks."""

_NO_MEDIUM = "is neither a picture nor a sound, nor a text named .txt"
_NO_RECORDS = f"is no records file, whose names end in {', '.join(SUFFIXES)}; rename it"


class Kinds:
    """Classifier of files; it opens each version of a file once.

    Args:
        folder: Folder that opens the files.
        path: Path of the folder, for the log.
        media_files: True if the files are media; else they are records files.

    Attributes:
        refused: Reason for which a file is not read, by file name, since the last `tell`.
        noted: Further remark on a file, by file name, since the last `tell`.
    """

    def __init__(self, folder: listing.Folder, path: str, media_files: bool) -> None:
        self._folder, self._path, self._media_files = folder, path, media_files
        self._known: dict[str, tuple[str, str | None]] = {}
        self._told: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.noted: dict[str, str] = {}

    def of(self, file: File) -> str | None:
        """Returns `RECORDS`, a modality, or None for a file that is not read.

        The reason for None is in `refused`, unless the file is gone.

        Raises:
            OSError: If the disk fails.
        """
        version, kind = self._known.get(file.name, ("", None))
        if version != file.version:
            try:
                kind = self._media(file.name) if self._media_files else self._records(file.name)
            except FileNotFoundError:
                return None
            except OSError as error:
                self.refused[file.name] = listing.why(error)
                return None
            self._known[file.name] = (file.version, kind)
        if kind is None:
            self.refused[file.name] = _NO_MEDIUM if self._media_files else _NO_RECORDS
        return kind if self._media_files or kind == RECORDS else None

    def likely(self, name: str) -> str | None:
        """Returns the likely kind of an unsettled file by its name; None if the name has none."""
        if self._media_files:
            return MEDIA_SUFFIXES.get(_suffix(name))
        return RECORDS if name.lower().endswith(SUFFIXES) else None

    def forget(self, name: str) -> None:
        """Discards a file's kind, so that it is opened again even if it has not changed."""
        self._known.pop(name, None)

    def tell(self, refused: Mapping[str, str]) -> int:
        """Logs once what is wrong with each file, and forgets files that are gone.

        Args:
            refused: Reasons for which further files or folders are not read, by name.

        Returns:
            Number of files and folders that are not read.
        """
        self.refused |= refused
        lines = {name: f"not read: {why}" for name, why in self.refused.items()} | self.noted
        new = [name for name, line in sorted(lines.items()) if self._told.get(name) != line]
        for name in new[:TOLD_A_LOOK]:
            _log.warning("%s: %s", uris.spelled(os.path.join(self._path, name)), lines[name])
        if len(new) > TOLD_A_LOOK:
            left = len(new) - TOLD_A_LOOK
            _log.warning("%s: %d more like these; later looks tell them", self._path, left)
        untold = set(new[TOLD_A_LOOK:])
        self._told = {name: line for name, line in lines.items() if name not in untold}
        count = len(self.refused)
        self.refused, self.noted = {}, {}
        return count

    def keep(self, names: set[str]) -> None:
        """Forgets all files except these."""
        self._known = {name: known for name, known in self._known.items() if name in names}

    def _media(self, name: str) -> str | None:
        head = self._folder.head(name)
        by_name = MEDIA_SUFFIXES.get(_suffix(name))
        if by_name is not None and MEDIA[by_name].told_by_name:
            return by_name
        return _modality(head) or by_name

    def _records(self, name: str) -> str | None:
        if self.likely(name) == RECORDS:
            self._folder.head(name)  # raises if it may not be read
            return RECORDS
        return MEDIA_SUFFIXES.get(_suffix(name)) or _modality(self._folder.head(name))


def stem(name: str) -> str:
    """Returns the name of the record of a media file: the file's name without its suffix."""
    return name[: len(name) - len(_suffix(name))]


def _suffix(name: str) -> str:
    suffix = os.path.splitext(name)[1].lower()
    return suffix if suffix in MEDIA_SUFFIXES else ""


def _modality(head: bytes) -> str | None:
    return next((name for name, kind in MEDIA.items() if kind.begins(head)), None)
