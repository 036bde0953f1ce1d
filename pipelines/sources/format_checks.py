"""Refusals of inputs that are no records files, and of those whose first bytes show it."""

import codecs
import collections
import difflib
import json
import logging
import os
import re
import shlex
from collections.abc import Sequence

from triad_ml.transforms.errors import OptionsError

BYTES = 64 * 2**10

_log = logging.getLogger(__name__)

_UTF_16 = {
    ".jsonl": re.compile(rb'(?:\xff\xfe)?\{\0[\s"]\0|(?:\xfe\xff)?\0\{\0[\s"]'),
    ".csv": re.compile(rb"(?:\xff\xfe)?(?:[ -~]\0){2}|(?:\xfe\xff)?(?:\0[ -~]){2}"),
}
_MANY = 10_000
"""So many names of a folder are looked at."""

_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}

_LIST = re.compile(rb"\s*\[\s*\{")
_KNOWN = ("id", "image", "audio", "text", "group", "split", "label", "labels")


def check(uri: str, kind: str) -> None:
    """Refuses a file of text that is UTF-16, a JSON list, or CSV with another delimiter.

    Bytes that are not UTF-8 are told in the log: only the records that hold them are concerned.

    Args:
        uri: The file.
        kind: The end of its name that says its format, without `.gz`.

    Raises:
        OptionsError: With the file and the remedy, and none of its content.
        StorageError: Where it cannot be opened.
    """
    from triad_ml.pipelines.storage import opening  # it imports Beam, and `first_look` does not

    if kind not in _UTF_16:
        return
    with opening.open_inflated(uri) as file:
        head = file.read(BYTES)
    if _UTF_16[kind].match(head):
        raise OptionsError(
            f"{uri}: is UTF-16; convert it to UTF-8: iconv -f UTF-16 -t UTF-8 OLD > NEW"
        )
    if kind == ".jsonl":
        _check_json(uri, head)
    else:
        check_header(uri, head.removeprefix(codecs.BOM_UTF8).partition(b"\n")[0])
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError as error:
        _log.warning(
            "%s: is not UTF-8 at byte %d, perhaps Latin-1; if so: iconv -f LATIN1 -t UTF-8 OLD > "
            "NEW; else the texts and records with such bytes are not used",
            *(uri, error.start),
        )


def _check_json(uri: str, head: bytes) -> None:
    """Refuses a list of records; one line that is a list among other records is only rejected."""
    if not _LIST.match(head):
        return
    try:
        if isinstance(json.loads(head.splitlines()[1]), dict):
            return
    except (IndexError, ValueError, RecursionError):
        pass
    raise OptionsError(
        f"{uri}: is one JSON list, and JSON Lines have one object on each line; "
        "write it again: jq -c '.[]' OLD > NEW"
    )


def check_header(uri: str, header: bytes) -> None:
    """Refuses a header of CSV whose cells are not parted by commas.

    Raises:
        OptionsError: With the delimiter that was seen.
    """
    text = header.decode(errors="replace")
    if "id" in _cells(text, ","):
        return
    said = other_delimiter(text)
    if said is not None:
        raise OptionsError(f"{uri}: {said}")


def known(columns: list[str]) -> str:
    """Those of the names that we know, for a message: a header may be no header, but a secret."""
    found = [name for name in _KNOWN if name in {column.strip().lower() for column in columns}]
    return ", ".join(found) or "none that is known"


def _cells(header: str, delimiter: str) -> list[str]:
    return [cell.strip().strip('"') for cell in header.split(delimiter)]


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
    near = difflib.get_close_matches(name, _listed(parent or "."), 3, 0.6)
    if near:
        like = " or ".join(os.path.join(parent, one) for one in near)
        return OptionsError(f"{said}, such as {like}")
    found = _pattern(parent, suffixes)
    return OptionsError(f"{said}, such as {found}" if found else said)


def _pattern(folder: str, suffixes: Sequence[str]) -> str | None:
    """A quoted pattern of the commonest format in a folder; None where there are no such files."""
    found = collections.Counter(  # as they are spelled: patterns know upper and lower case
        name[-len(one) :]
        for name in _listed(folder or ".")
        for one in suffixes
        if name.lower().endswith(one)
    )
    if not found:
        return None
    commonest = max(found, key=lambda one: (found[one], one))
    parent = re.sub(r"[*?\[]", "?", folder.rstrip("/") or folder)  # Beam's patterns quote nothing
    return shlex.quote(os.path.join(parent, f"*{commonest}"))


def _listed(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry, _ in zip(entries, range(_MANY), strict=False))
    except OSError:
        return []
