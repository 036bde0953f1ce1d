"""Fields of a line or row -> a raw record: one set of rules for every format."""

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
"""In bytes of UTF-8."""

MOST_FIELDS = 1000
"""Fields of a record: each of those left over is a column of what is published."""

MOST_VALUES = 1_000_000
"""Values of a record, those inside lists and objects among them."""

_NOT_UNICODE = "a field other than a medium is not Unicode text"
_KINDS_OF_TEXTS: tuple[str, str | None] = ("text", None)  # of an id that is a text, without a group
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class RefusedRecordError(ValueError):
    """A line or row that is not a record; the text holds no payload."""

    def __init__(self, reason: Reason, detail: str, record_id: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.record_id = record_id


def rejected(error: RefusedRecordError, position: Position, digest: str) -> Rejected:
    """What becomes of a refused line or row; `digest` is the SHA-256 of its bytes."""
    return Rejected(
        id=error.record_id or str(position),
        position=position,
        stage="read",
        reason=error.reason,
        detail=error.detail,
        payload_digest=digest,
    )


def row_digest(row: Mapping[Any, Any]) -> str:
    """Returns the SHA-256 of a row's fields, hexadecimal, for a row that is no line of a file."""
    digest = hashlib.sha256()
    for name, value in row.items():
        stored = value if isinstance(value, bytes) else repr(value).encode()
        digest.update(b"%s %d\n" % (str(name).encode(errors="backslashreplace"), len(stored)))
        digest.update(stored)
    return digest.hexdigest()


def assemble(
    row: dict[str, Any], position: Position, labels: Collection[str], doubtful: bool = False
) -> RawRecord:
    """Makes a record of named fields; `row` is used up.

    Without a mapping `labels`, each field named in `labels`, and each `labels.<name>`, is a label.
    What is left over passes through. A group or split of a wrong form makes the record
    `untrainable` and nothing else: scoring uses neither.

    Args:
        row: Values as Python has them. Strings may hold lone surrogates: bytes that were not UTF-8
            (`surrogateescape`), or JSON escapes. They break a medium, and refuse a record when
            they are elsewhere.
        position: Where the row is.
        labels: The label names that the spec's tasks read.
        doubtful: Whether a string may hold lone surrogates.

    Raises:
        RefusedRecordError: With the record's id, where that is known.
    """
    count = len(row)
    given_id, given_group = row.pop("id", None), row.pop("group", None)
    record_id = identifier(given_id)
    if count > MOST_FIELDS:
        why = f"the record has {count} fields, over {MOST_FIELDS}"
        raise RefusedRecordError(Reason.TOO_LARGE, why, record_id)
    image = _medium(row.pop("image", None))
    audio = _medium(row.pop("audio", None))
    text = _text(row.pop("text", None))
    group, split, untrainable = _training(given_group, row.pop("split", None), doubtful)
    try:
        values = _labels(row, labels)
        if doubtful and not is_unicode([values, row]):
            raise RefusedRecordError(Reason.UNPARSABLE, _NOT_UNICODE)
    except RefusedRecordError as error:
        error.record_id = record_id
        raise
    kinds = _KINDS_OF_TEXTS
    if not isinstance(given_id, str) or group is not None:
        kinds = scalars.kind_of(given_id), None if group is None else scalars.kind_of(given_group)
    media = (image, audio, text)
    return RawRecord(record_id, position, *media, group, split, values, row, kinds, untrainable)


def _training(group: Any, split: Any, doubtful: bool) -> tuple[str | None, str | None, str]:
    """The group and split of a record, and what is wrong with them; see `assemble`."""
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
        uri: The file.
        columns: Their names.
        found: The names as the error may tell them.

    Raises:
        OptionsError: Naming the file and the columns.
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
    """Whether no string in a value holds a lone surrogate."""
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
    """The id of a record: a string as it is, a whole number in decimal however it is stored.

    A UUID is its text.

    Raises:
        RefusedRecordError: Where it is of another type, empty, longer than `LONGEST_ID`, or holds
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
    """A picture or sound: a string is where it is, or the bytes themselves as `data:`."""
    if value is None or value == "" or value == b"":
        return None
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return _data(value) if value[:5].lower() == "data:" else _uri(value)
    return _described(value)


def _text(value: Any) -> Medium | None:
    """A text: a string is the text itself."""
    if value is None or value == "" or value == b"":
        return None
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return _text_bytes(value)
    return _described(value)


def _text_bytes(value: str) -> bytes:
    """UTF-8, or bytes that are none where the string holds a lone surrogate."""
    try:
        return value.encode()
    except UnicodeEncodeError:
        pass
    try:
        stored = value.encode(errors="surrogateescape")
        stored.decode()
    except UnicodeDecodeError:
        return stored  # the bytes as the file has them
    except UnicodeEncodeError:
        pass
    return value.encode(errors="surrogatepass")


def _described(value: Any) -> Medium | None:
    """A medium as an object: `base64` or `bytes` hold it, `uri` or `path` say where it is."""
    if scalars.is_missing(value):
        return None
    if not isinstance(value, Mapping):
        return BrokenMedium(f"{_kind(value)} where a medium should be")
    given = {key: part for key, part in value.items() if part not in (None, "", b"")}
    unknown = value.keys() - {"base64", "bytes", "uri", "path"}
    if unknown or not value:
        return BrokenMedium("an object without base64, bytes, uri or path, or with more than that")
    if isinstance(stored := given.get("bytes"), bytes):
        return stored
    if isinstance(encoded := given.get("base64"), str):
        return _base64(encoded)
    for key in ("uri", "path"):
        if isinstance(place := given.get(key), str):
            return _uri(place)
    return BrokenMedium("an object whose values are of the wrong type") if given else None


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
        if any(space in content for space in b" \r\n\t"):  # some writers wrap lines
            content = b"".join(content.split())
        return binascii.a2b_base64(content, strict_mode=True) or None
    except ValueError:  # of which both errors that can come are
        return BrokenMedium("bad base64")


def _group(value: Any) -> str | None:
    """The name of a group; None where the value names none.

    Texts that are one number or truth value are one group: no writer parts a group.
    """
    if _is_nothing(value):
        return None
    text = scalars.text_of(value)
    return None if text is None else scalars.common_spelling(text)


def _is_nothing(value: Any) -> bool:
    return value is None or value == "" or scalars.is_missing(value)


def _labels(row: dict[str, Any], names: Collection[str]) -> Mapping[str, Any]:
    given = row.get("labels")
    if isinstance(given, Mapping):
        del row["labels"]
        return given
    if given is not None and "labels" not in names:
        raise RefusedRecordError(Reason.UNPARSABLE, f"labels is {_kind(given)}, not a mapping")
    found = {
        key.removeprefix(LABEL_PREFIX): row.pop(key)
        for key in [key for key in row if key.startswith(LABEL_PREFIX)]
    }
    for name in names:
        if name not in found and name in row:
            found[name] = row.pop(name)
    row.pop("labels", None)
    return {name: value for name, value in found.items() if not scalars.is_missing(value)}


def _kind(value: Any) -> str:
    """What a value is, in the words of JSON, without the value."""
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
