"""Rules, the same for every format, by which the fields of a line or row become a raw record."""

import binascii
import hashlib
import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records import scalars
from triad_ml.transforms.records.columns import LABEL_PREFIX
from triad_ml.transforms.records.columns import is_label as is_label
from triad_ml.transforms.records.values import (
    UNKNOWN_SPLIT,
    BrokenMedium,
    Medium,
    Position,
    RawRecord,
    Reason,
    Rejected,
    Uri,
)
from triad_ml.transforms.spec import split as spec_split

LONGEST_ID = 512
"""Length of the longest id, in bytes of UTF-8."""

MOST_FIELDS = 1000
"""Largest number of fields of a record; each that is not used is a column of the scores."""

MOST_VALUES = 1_000_000
"""Largest number of values of a record, including those inside lists and objects."""

_NOT_UNICODE = "a field other than a medium is not Unicode text"
_KINDS_OF_TEXTS: tuple[str, str | None] = ("text", None)  # Kinds of a text id and of no group.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class RefusedRecordError(ValueError):
    """Error for a line or row that is no record; its message holds none of the content."""

    def __init__(self, reason: Reason, detail: str, record_id: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.record_id = record_id


def rejected(error: RefusedRecordError, position: Position, digest: str) -> Rejected:
    """Makes a rejected record of a refused line or row; `digest` is the SHA-256 of its bytes."""
    return Rejected(
        id=error.record_id or str(position),
        position=position,
        stage="read",
        reason=error.reason,
        detail=error.detail,
        payload_digest=digest,
    )


def row_digest(row: Mapping[Any, Any]) -> str:
    """Returns the SHA-256 in hexadecimal of a row's fields, for a row that is no line of a file."""
    digest = hashlib.sha256()
    for name, value in row.items():
        stored = value if isinstance(value, bytes) else repr(value).encode()
        digest.update(b"%s %d\n" % (str(name).encode(errors="backslashreplace"), len(stored)))
        digest.update(stored)
    return digest.hexdigest()


def assemble(
    row: dict[str, Any], position: Position, labels: Collection[str], doubtful: bool = False
) -> RawRecord:
    """Makes a record of named fields.

    In a row without a mapping `labels`, each field named in `labels`, and each `labels.<name>`, is
    a label. Other fields pass through. A group or split of a wrong form only makes the record
    `untrainable`, since scoring uses neither.

    Args:
        row: Python values by field name; the row is modified. Strings may hold lone surrogates:
            bytes that were not UTF-8 (`surrogateescape`), or JSON escapes. A medium with such a
            string is broken; a record with such a string elsewhere is refused.
        position: Position of the row.
        labels: Names of the labels that the spec's tasks read.
        doubtful: True if a string may hold lone surrogates.

    Raises:
        RefusedRecordError: The row is no record; the error has its id, if that is known.
    """
    count = len(row)
    stored_id, stored_group = row.pop("id", None), row.pop("group", None)
    record_id = identifier(stored_id)
    if count > MOST_FIELDS:
        why = f"the record has {count} fields, over {MOST_FIELDS}"
        raise RefusedRecordError(Reason.TOO_LARGE, why, record_id)
    image = _medium(row.pop("image", None))
    audio = _medium(row.pop("audio", None))
    text = _text(row.pop("text", None))
    group, split, untrainable = _training(stored_group, row.pop("split", None), doubtful)
    try:
        values = _labels(row, labels)
        if doubtful and not is_unicode([values, row]):
            raise RefusedRecordError(Reason.UNPARSABLE, _NOT_UNICODE)
    except RefusedRecordError as error:
        error.record_id = record_id
        raise
    kinds = _KINDS_OF_TEXTS
    if not isinstance(stored_id, str) or group is not None:
        kinds = scalars.kind_of(stored_id), None if group is None else scalars.kind_of(stored_group)
    media = (image, audio, text)
    return RawRecord(record_id, position, *media, group, split, values, row, kinds, untrainable)


def _training(group: Any, split: Any, doubtful: bool) -> tuple[str | None, str | None, str]:
    """Returns the group and split of a record, and their flaw or "", see `assemble`."""
    named = spec_split.named(split)
    untrainable = spec_split.UNKNOWN if named == UNKNOWN_SPLIT else ""
    text = _group(group)
    if text is None and not _is_nothing(group):
        untrainable = f"group is {_kind(group)}, not a single value"
    elif doubtful and not is_unicode(text):
        text, untrainable = None, _NOT_UNICODE
    return text, UNKNOWN_SPLIT if untrainable else named, untrainable


def check_columns(uri: str, columns: Sequence[str], found: str) -> None:
    """Refuses a table without a column `id`, with two of one name, or more than `MOST_FIELDS`.

    Args:
        uri: URI of the file.
        columns: Names of the columns.
        found: Those names that the message may contain.

    Raises:
        OptionsError: The table is refused; the message names the file and the columns.
    """
    if len(columns) > MOST_FIELDS:
        raise OptionsError(
            f"{uri}: has {len(columns)} columns, over {MOST_FIELDS}; keep those that are "
            "needed, or put several into one as JSON"
        )
    first: dict[str, int] = {}
    for number, name in enumerate(columns, 1):
        if first.setdefault(name, number) != number:
            raise OptionsError(
                f"{uri}: columns {first[name]} and {number} have the same name; rename one of them"
            )
    if "id" not in first:
        raise OptionsError(
            f"{uri}: none of its {len(columns)} columns is named id, found: {found}; "
            "name one of them id"
        )


def is_unicode(value: Any) -> bool:
    """Returns True if no string in a value holds a lone surrogate."""
    if isinstance(value, str):
        if value.isascii():
            return True
        try:
            value.encode()
        except UnicodeEncodeError:
            return False
    if isinstance(value, Mapping):
        return all(is_unicode(key) and is_unicode(part) for key, part in value.items())
    if isinstance(value, list | tuple):
        return all(is_unicode(part) for part in value)
    return True


def identifier(value: Any) -> str:
    """Returns the id of a record as text.

    A string is unchanged, a whole number is in decimal however it is stored, and a UUID has its
    usual form.

    Raises:
        RefusedRecordError: The id is of another type, empty, longer than `LONGEST_ID`, or holds
            control characters or lone surrogates.
    """
    text = value if isinstance(value, str) else _id_text(value)
    if not text:
        raise RefusedRecordError(Reason.INVALID_ID, "the id is empty")
    if not is_unicode(text):
        raise RefusedRecordError(Reason.INVALID_ID, "the id is not UTF-8")
    if len(text.encode()) > LONGEST_ID:
        raise RefusedRecordError(Reason.INVALID_ID, f"the id is longer than {LONGEST_ID} bytes")
    if not text.isprintable() and _CONTROL.search(text):
        raise RefusedRecordError(Reason.INVALID_ID, "the id holds control characters")
    return text


def _id_text(value: Any) -> str:
    if scalars.is_missing(value):
        raise RefusedRecordError(Reason.INVALID_ID, "the id is missing")
    number = scalars.whole_number(value)
    if number is not None:
        return str(number)
    if isinstance(value, uuid.UUID):
        return str(value)
    raise RefusedRecordError(
        Reason.INVALID_ID, f"the id is {_kind(value)}, not a string or a whole number"
    )


def _medium(value: Any) -> Medium | None:
    """Parses an image or audio: a string is its URI, or a `data:` URI with its bytes."""
    if value is None or value == "" or value == b"":
        return None
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return _data(value) if value[:5].lower() == "data:" else _uri(value)
    return _described(value)


def _text(value: Any) -> Medium | None:
    """Parses a text: a string is the text itself."""
    if value is None or value == "" or value == b"":
        return None
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return _text_bytes(value)
    return _described(value)


def _text_bytes(value: str) -> bytes:
    """Encodes a string as UTF-8; the bytes are invalid UTF-8 if it holds a lone surrogate."""
    try:
        return value.encode()
    except UnicodeEncodeError:
        pass
    try:
        stored = value.encode(errors="surrogateescape")
        stored.decode()
    except UnicodeDecodeError:
        return stored  # The bytes in the file.
    except UnicodeEncodeError:
        pass
    return value.encode(errors="surrogatepass")


def _described(value: Any) -> Medium | None:
    """Parses a medium that is an object with its content (`base64`, `bytes`), `uri` or `path`."""
    if scalars.is_missing(value):
        return None
    if not isinstance(value, Mapping):
        return BrokenMedium(f"{_kind(value)} where a medium should be")
    filled = {key: part for key, part in value.items() if part not in (None, "", b"")}
    unknown = value.keys() - {"base64", "bytes", "uri", "path"}
    if unknown or not value:
        return BrokenMedium("an object without base64, bytes, uri or path, or with more than that")
    if isinstance(stored := filled.get("bytes"), bytes):
        return stored
    if isinstance(encoded := filled.get("base64"), str):
        return _base64(encoded)
    for key in ("uri", "path"):
        if isinstance(uri := filled.get(key), str):
            return _uri(uri)
    return BrokenMedium("an object whose values are of the wrong type") if filled else None


def _uri(value: str) -> Medium:
    return Uri(value) if is_unicode(value) else BrokenMedium("a URI that is not UTF-8")


def _data(uri: str) -> Medium | None:
    head, comma, encoded = uri.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        return BrokenMedium("a data: URI that is not base64")
    return _base64(encoded)


def _base64(encoded: str) -> Medium | None:
    try:
        content = encoded.encode("ascii")
        if any(space in content for space in b" \r\n\t"):  # Some writers wrap lines.
            content = b"".join(content.split())
        return binascii.a2b_base64(content, strict_mode=True) or None
    except ValueError:  # Base of UnicodeEncodeError and binascii.Error.
        return BrokenMedium("bad base64")


def _group(value: Any) -> str | None:
    """Returns the name of a group; None if the value names none.

    Texts that are one number or truth value name one group, however different writers spell it.
    """
    if _is_nothing(value):
        return None
    text = scalars.text_of(value)
    return None if text is None else scalars.common_spelling(text)


def _is_nothing(value: Any) -> bool:
    return value is None or value == "" or scalars.is_missing(value)


def _labels(row: dict[str, Any], names: Collection[str]) -> Mapping[str, Any]:
    mapping = row.get("labels")
    if isinstance(mapping, Mapping):
        del row["labels"]
        return mapping
    if mapping is not None and "labels" not in names:
        raise RefusedRecordError(Reason.UNPARSABLE, f"labels is {_kind(mapping)}, not a mapping")
    labels = {
        key.removeprefix(LABEL_PREFIX): row.pop(key)
        for key in [key for key in row if key.startswith(LABEL_PREFIX)]
    }
    for name in names:
        if name not in labels and name in row:
            labels[name] = row.pop(name)
    row.pop("labels", None)
    return {name: value for name, value in labels.items() if not scalars.is_missing(value)}


def _kind(value: Any) -> str:
    """Names the type of a value in the words of JSON, for messages without the value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, bytes):
        return "bytes"
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, list | tuple) else f"a {type(value).__name__}"
