"""What the first bytes of a records file show to be wrong with all of it, told before any work."""

import codecs
import json
import logging
import re

from triad_ml.pipelines.sources import input_advice
from triad_ml.pipelines.storage import opening
from triad_ml.transforms.errors import OptionsError

BYTES = 64 * 2**10

_log = logging.getLogger(__name__)

_UTF_16 = {
    ".jsonl": re.compile(rb'(?:\xff\xfe)?\{\0[\s"]\0|(?:\xfe\xff)?\0\{\0[\s"]'),
    ".csv": re.compile(rb"(?:\xff\xfe)?(?:[ -~]\0){2}|(?:\xfe\xff)?(?:\0[ -~]){2}"),
}
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
    if "id" in _names(text, ","):
        return
    said = input_advice.other_delimiter(text)
    if said is not None:
        raise OptionsError(f"{uri}: {said}")


def known(columns: list[str]) -> str:
    """Those of the names that we know, for a message: a header may be no header, but a secret."""
    found = [name for name in _KNOWN if name in {column.strip().lower() for column in columns}]
    return ", ".join(found) or "none that is known"


def _names(header: str, delimiter: str) -> list[str]:
    return [cell.strip().strip('"') for cell in header.split(delimiter)]
