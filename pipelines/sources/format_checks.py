"""Checks of input paths and of files' first bytes, with errors for inputs that are no records."""

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
"""Number of bytes at the beginning of a file that are checked, inflated."""

_log = logging.getLogger(__name__)

_UTF_16 = {
    ".jsonl": re.compile(rb'(?:\xff\xfe)?\{\0[\s"]\0|(?:\xfe\xff)?\0\{\0[\s"]'),
    ".csv": re.compile(rb"(?:\xff\xfe)?(?:[ -~]\0){2}|(?:\xfe\xff)?(?:\0[ -~]){2}"),
}
_MANY = 10_000
"""Largest number of entries of a folder that are listed for suggestions."""

_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}

_LIST = re.compile(rb"\s*\[\s*\{")
_KNOWN = ("id", "image", "audio", "text", "group", "split", "label", "labels")


def check(uri: str, kind: str) -> None:
    """Refuses a file of text that is UTF-16, a JSON list, or CSV with another delimiter.

    Bytes that are not UTF-8 are only logged, since they affect only the records that hold them.

    Args:
        uri: URI of the file.
        kind: Suffix of its name, which names its format, without `.gz`.

    Raises:
        OptionsError: The file is refused. The message has the file and the remedy, and none of its
            content.
        StorageError: The file cannot be opened.
    """
    from triad_ml.pipelines.storage import opening  # Imports Beam, too slow for `first_look`.

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
    """Refuses a file that is one JSON list of records.

    If a record is in the second line, the list is only a line to be rejected.
    """
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
    """Refuses a CSV header whose cells are not separated by commas.

    Raises:
        OptionsError: The header has another delimiter; the message names it.
    """
    text = header.decode(errors="replace")
    if "id" in _cells(text, ","):
        return
    message = other_delimiter(text)
    if message is not None:
        raise OptionsError(f"{uri}: {message}")


def known(columns: list[str]) -> str:
    """Lists only well-known column names, for a message: a first line may be data, and secret."""
    names = [name for name in _KNOWN if name in {column.strip().lower() for column in columns}]
    return ", ".join(names) or "none that is known"


def _cells(header: str, delimiter: str) -> list[str]:
    return [cell.strip().strip('"') for cell in header.split(delimiter)]


def other_delimiter(header: str) -> str | None:
    """Returns a message with the remedy for a CSV header with another delimiter, or None."""
    for delimiter, name in _DELIMITERS.items():
        if header.count(delimiter) > header.count(","):
            return (
                f"no column is named id, and {name} part its header, not commas; write it again "
                f"with commas, such as pandas.read_csv(OLD, sep={delimiter!r}).to_csv(NEW, "
                "index=False)"
            )
    return None


def folder(path: str, suffixes: Sequence[str]) -> OptionsError:
    """Returns the error for an input that is a folder, with a pattern that matches its files."""
    suggestion = _pattern(path, suffixes)
    if suggestion is None:
        known = ", ".join(suffixes)
        return OptionsError(f"{path}: is a folder without records files ({known}); name another")
    return OptionsError(f"{path}: is a folder; name its files by a pattern: --input {suggestion}")


def nothing(pattern: str, suffixes: Sequence[str]) -> OptionsError:
    """Returns the error for a pattern that matches no file, with similar names if there are any."""
    message = f"{pattern}: no file matches; give a path or pattern of records files"
    if "://" in pattern:
        return OptionsError(message)
    parent, name = os.path.split(pattern)
    if not os.path.isdir(parent or "."):
        return OptionsError(f"{message}: there is no folder {parent}")
    similar = difflib.get_close_matches(name, _listed(parent or "."), 3, 0.6)
    if similar:
        paths = " or ".join(os.path.join(parent, entry) for entry in similar)
        return OptionsError(f"{message}, such as {paths}")
    suggestion = _pattern(parent, suffixes)
    return OptionsError(f"{message}, such as {suggestion}" if suggestion else message)


def _pattern(folder: str, suffixes: Sequence[str]) -> str | None:
    """Returns a quoted pattern for the most frequent format in a folder; None if there is none."""
    counts = collections.Counter(  # As spelled in the names, since patterns are case-sensitive.
        name[-len(suffix) :]
        for name in _listed(folder or ".")
        for suffix in suffixes
        if name.lower().endswith(suffix)
    )
    if not counts:
        return None
    commonest = max(counts, key=lambda suffix: (counts[suffix], suffix))
    # Beam's patterns have no quoting, so `?` stands for characters of patterns.
    parent = re.sub(r"[*?\[]", "?", folder.rstrip("/") or folder)
    return shlex.quote(os.path.join(parent, f"*{commonest}"))


def _listed(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry, _ in zip(entries, range(_MANY), strict=False))
    except OSError:
        return []
