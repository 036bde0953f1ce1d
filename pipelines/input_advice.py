"""What to write instead of an input that names no records file."""

import collections
import difflib
import os
import re
import shlex
from collections.abc import Sequence

from transforms.errors import OptionsError

_MANY = 10_000
"""So many names of a folder are looked at."""


def folder(path: str, suffixes: Sequence[str]) -> OptionsError:
    """The error for a folder: its files are named by a pattern."""
    found = collections.Counter(  # as they are spelled: patterns know upper and lower case
        name[-len(one) :] for name in _names(path) for one in suffixes if name.lower().endswith(one)
    )
    if not found:
        known = ", ".join(suffixes)
        return OptionsError(f"{path}: is a folder without records files ({known}); name another")
    commonest = max(found, key=lambda one: (found[one], one))
    parent = re.sub(r"[*?\[]", "?", path.rstrip("/"))  # Beam's patterns quote nothing
    pattern = shlex.quote(f"{parent}/*{commonest}")
    return OptionsError(f"{path}: is a folder; name its files by a pattern: --input {pattern}")


def nothing(pattern: str) -> OptionsError:
    """The error for a pattern that names nothing, with names that are like it."""
    said = f"{pattern}: no file matches; give a path or pattern of records files"
    if "://" in pattern:
        return OptionsError(said)
    parent, name = os.path.split(pattern)
    if not os.path.isdir(parent or "."):
        return OptionsError(f"{said}: there is no folder {parent}")
    near = difflib.get_close_matches(name, _names(parent or "."), 3, 0.6)
    if not near:
        return OptionsError(said)
    return OptionsError(f"{said}, such as {' or '.join(os.path.join(parent, one) for one in near)}")


def _names(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry, _ in zip(entries, range(_MANY), strict=False))
    except OSError:
        return []
