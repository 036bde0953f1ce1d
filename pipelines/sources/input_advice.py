"""What to write instead of an input that names no records file."""

import collections
import difflib
import os
import re
import shlex
from collections.abc import Sequence

from triad_ml.transforms.errors import OptionsError

_MANY = 10_000
"""So many names of a folder are looked at."""

_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def other_delimiter(header: str) -> str | None:
    """What is wrong with a header of CSV whose cells are not parted by commas, and the remedy."""
    for delimiter, name in _DELIMITERS.items():
        if header.count(delimiter) > header.count(","):
            return (
                f"no column is named id, and {name} part its header, not commas; write it again "
                f"with commas, such as pandas.read_csv(OLD, sep={delimiter!r}).to_csv(NEW, "
                "index=False)"
            )
    return None


def folder(path: str, suffixes: Sequence[str]) -> OptionsError:
    """The error for a folder: its files are named by a pattern."""
    found = _pattern(path, suffixes)
    if found is None:
        known = ", ".join(suffixes)
        return OptionsError(f"{path}: is a folder without records files ({known}); name another")
    return OptionsError(f"{path}: is a folder; name its files by a pattern: --input {found}")


def nothing(pattern: str, suffixes: Sequence[str]) -> OptionsError:
    """The error for a pattern that names nothing, with names that are like it."""
    said = f"{pattern}: no file matches; give a path or pattern of records files"
    if "://" in pattern:
        return OptionsError(said)
    parent, name = os.path.split(pattern)
    if not os.path.isdir(parent or "."):
        return OptionsError(f"{said}: there is no folder {parent}")
    near = difflib.get_close_matches(name, _names(parent or "."), 3, 0.6)
    if near:
        like = " or ".join(os.path.join(parent, one) for one in near)
        return OptionsError(f"{said}, such as {like}")
    found = _pattern(parent, suffixes)
    return OptionsError(f"{said}, such as {found}" if found else said)


def _pattern(folder: str, suffixes: Sequence[str]) -> str | None:
    """A quoted pattern of the commonest format in a folder; None where there are no such files."""
    found = collections.Counter(  # as they are spelled: patterns know upper and lower case
        name[-len(one) :]
        for name in _names(folder or ".")
        for one in suffixes
        if name.lower().endswith(one)
    )
    if not found:
        return None
    commonest = max(found, key=lambda one: (found[one], one))
    parent = re.sub(r"[*?\[]", "?", folder.rstrip("/") or folder)  # Beam's patterns quote nothing
    return shlex.quote(os.path.join(parent, f"*{commonest}"))


def _names(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry, _ in zip(entries, range(_MANY), strict=False))
    except OSError:
        return []
