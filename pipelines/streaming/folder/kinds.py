"""What the files of a watched folder are, and a word on each that is not read."""

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
"""By the end of a name in any case, the modality of a file whose content does not tell it."""

RECORDS = "records"

TOLD_A_LOOK = 20
"""Lines of the log for each look at the folder; what is left comes with the next looks."""

_NO_MEDIUM = "is neither a picture nor a sound, nor a text named .txt"
_NO_RECORDS = f"is no records file, whose names end in {', '.join(SUFFIXES)}; rename it"


class Kinds:
    """Says what files are; each version of a file is looked into once.

    Args:
        folder: Opens them.
        path: Of the folder, as the log names it.
        media_files: Whether the files are media, else records files.

    Attributes:
        refused: Why files are not read, by name, since the last `tell`.
        noted: What else there is to say of files.
    """

    def __init__(self, folder: listing.Folder, path: str, media_files: bool) -> None:
        self._folder, self._path, self._media_files = folder, path, media_files
        self._known: dict[str, tuple[str, str | None]] = {}
        self._told: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.noted: dict[str, str] = {}

    def of(self, file: File) -> str | None:
        """`RECORDS`, or a modality; None for what is not given out, and told unless it is gone.

        Raises:
            OSError: Where the disk fails.
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
        """What a file is that has not settled, as far as its name tells."""
        if self._media_files:
            return MEDIA_SUFFIXES.get(_suffix(name))
        return RECORDS if name.lower().endswith(SUFFIXES) else None

    def forget(self, name: str) -> None:
        """Looks into a file again, whether or not it changed."""
        self._known.pop(name, None)

    def tell(self, refused: Mapping[str, str]) -> int:
        """Says once of each file what is wrong with it, and forgets those that are gone.

        Args:
            refused: Further things that are not read.

        Returns:
            How many are not read.
        """
        self.refused |= refused
        said = {name: f"not read: {why}" for name, why in self.refused.items()} | self.noted
        new = [name for name, what in sorted(said.items()) if self._told.get(name) != what]
        for name in new[:TOLD_A_LOOK]:
            _log.warning("%s: %s", uris.spelled(os.path.join(self._path, name)), said[name])
        if len(new) > TOLD_A_LOOK:
            left = len(new) - TOLD_A_LOOK
            _log.warning("%s: %d more like these; later looks tell them", self._path, left)
        untold = set(new[TOLD_A_LOOK:])
        self._told = {name: what for name, what in said.items() if name not in untold}
        count = len(self.refused)
        self.refused, self.noted = {}, {}
        return count

    def keep(self, names: set[str]) -> None:
        """Forgets all files but these."""
        self._known = {name: known for name, known in self._known.items() if name in names}

    def _media(self, name: str) -> str | None:
        head = self._folder.head(name)
        by_name = MEDIA_SUFFIXES.get(_suffix(name))
        if by_name is not None and MEDIA[by_name].told_by_name:
            return by_name
        return _modality(head) or by_name

    def _records(self, name: str) -> str | None:
        if self.likely(name) == RECORDS:
            self._folder.head(name)  # may it be read?
            return RECORDS
        return MEDIA_SUFFIXES.get(_suffix(name)) or _modality(self._folder.head(name))


def stem(name: str) -> str:
    """The name of the record that a medium belongs to: without the suffix of a medium."""
    return name[: len(name) - len(_suffix(name))]


def _suffix(name: str) -> str:
    found = os.path.splitext(name)[1].lower()
    return found if found in MEDIA_SUFFIXES else ""


def _modality(head: bytes) -> str | None:
    return next((name for name, kind in MEDIA.items() if kind.begins(head)), None)
