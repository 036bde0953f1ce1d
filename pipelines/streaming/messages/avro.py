"""Parser of binary Avro datums into fields; a datum's sizes are checked before it is decoded."""

import functools
import io
from collections.abc import Mapping
from typing import Any

import fastavro

from triad_ml.pipelines.sources import strict_json
from triad_ml.pipelines.sources.fields import RefusedRecordError
from triad_ml.transforms.records.values import Reason

DEEPEST = 64
"""Most levels of nested records, unions, lists and maps in a datum."""

MOST_VALUES = 100_000
"""Most values in a datum, so that a few bytes cannot become a list that fills the memory."""

_FIXED = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_INVALID = (KeyError, TypeError, ValueError, AttributeError, fastavro.schema.SchemaParseException)


def check(schema: str) -> None:
    """Checks the text of an Avro schema.

    Raises:
        ValueError: If it is no Avro schema, or not of a record; the message has the reason.
    """
    _parsed(schema)


def parse(datum: bytes, schema: str) -> dict[str, Any]:
    """Returns the fields of a datum by name. Logical types are ignored: values have the base type.

    Bytes in strings that are not UTF-8 become lone surrogates (`surrogateescape`).

    Args:
        datum: Binary encoding, without a header.
        schema: Text of the schema with which the datum was written.

    Raises:
        RefusedRecordError: If the datum is not of the schema, has bytes left over, is nested deeper
            than `DEEPEST` or holds more than `MOST_VALUES`. No memory is allocated for sizes that
            it merely claims.
    """
    parsed, named = _parsed(schema)
    walk = _Walk(datum, named)
    walk.skip(parsed, 0)
    walk.end()
    row = fastavro.schemaless_reader(
        io.BytesIO(datum), parsed, None, handle_unicode_errors="surrogateescape"
    )
    assert isinstance(row, dict)
    return row


class _Walk:
    """Walk over a datum that checks its sizes without decoding its values."""

    def __init__(self, datum: bytes, named: Mapping[str, Any]) -> None:
        self._datum = datum
        self._named = named
        self._place = 0
        self._left = MOST_VALUES

    def skip(self, schema: Any, depth: int) -> None:
        self._left -= 1
        if self._left < 0:
            raise _too_many()
        if depth > DEEPEST:
            raise _refused(f"nested deeper than {DEEPEST} levels")
        if isinstance(schema, list):
            self.skip(schema[self._index(len(schema))], depth + 1)
            return
        kind = schema if isinstance(schema, str) else schema["type"]
        if kind in self._named:
            schema = self._named[kind]
            kind = schema["type"]
        if kind in ("int", "long"):
            self._long()
        elif kind in ("bytes", "string"):
            self._forward(self._long())
        elif kind in _FIXED:
            if kind == "boolean" and self._datum[self._place : self._place + 1] > b"\x01":
                raise _refused("neither true nor false")
            self._forward(_FIXED[kind])
        elif kind == "fixed":
            self._forward(schema["size"])
        elif kind == "enum":
            self._index(len(schema["symbols"]))
        elif kind in ("array", "map"):
            self._blocks(schema, depth)
        else:
            for field in schema["fields"]:
                self.skip(field["type"], depth + 1)

    def end(self) -> None:
        if self._place != len(self._datum):
            raise _refused("bytes are left over")

    def _blocks(self, schema: Mapping[str, Any], depth: int) -> None:
        while count := self._long():
            if count < 0:
                count = -count
                self._long()  # the block's size, which is not needed
            if count > self._left:
                raise _too_many()
            for _ in range(count):
                if schema["type"] == "map":
                    self._forward(self._long())
                    self.skip(schema["values"], depth + 1)
                else:
                    self.skip(schema["items"], depth + 1)

    def _long(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            if self._place >= len(self._datum):
                raise _refused("it stops before its schema does")
            byte = self._datum[self._place]
            self._place += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80 and value < 2**64:
                return (value >> 1) ^ -(value & 1)
        raise _refused("a number of more than 64 bits")

    def _index(self, count: int) -> int:
        index = self._long()
        if not 0 <= index < count:
            raise _refused("a choice that its schema does not have")
        return index

    def _forward(self, size: int) -> None:
        if not 0 <= size <= len(self._datum) - self._place:
            raise _refused("a length that leads out of it")
        self._place += size


@functools.lru_cache(maxsize=8)
def _parsed(schema: str) -> tuple[Any, Mapping[str, Any]]:
    """Returns the schema as fastavro parses it, and its named types."""
    named: dict[str, Any] = {}
    raw = strict_json.parse(schema)
    try:
        parsed = fastavro.parse_schema(_without_logical_types(raw), named)
        _check_sizes(parsed)
    except _INVALID as error:
        raise ValueError(f"no Avro schema ({' '.join(str(error).split())[:200]})") from error
    if not isinstance(parsed, dict) or parsed["type"] != "record":
        raise ValueError("a schema of something else than a record")
    return parsed, named


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, dict):
        kept = {name: part for name, part in schema.items() if name != "logicalType"}
        return {name: _without_logical_types(part) for name, part in kept.items()}
    return [_without_logical_types(part) for part in schema] if isinstance(schema, list) else schema


def _check_sizes(schema: Any) -> None:
    """Checks parts of a schema that fastavro does not check.

    Raises:
        ValueError: If a union, enum, size or list of fields is invalid.
    """
    if isinstance(schema, list):
        if not schema:
            raise ValueError("a union of nothing")
        for branch in schema:
            _check_sizes(branch)
    elif isinstance(schema, dict):
        kind = schema["type"]
        if kind == "fixed" and not (type(schema["size"]) is int and schema["size"] >= 0):
            raise ValueError(f"size of {schema['name']} is no whole number")
        if kind == "enum" and not schema["symbols"]:
            raise ValueError(f"{schema['name']} has no symbols")
        if kind in ("array", "map"):
            _check_sizes(schema["items" if kind == "array" else "values"])
        if kind in ("record", "error"):
            names = {field["name"] for field in schema["fields"]}
            if len(names) != len(schema["fields"]):
                raise ValueError(f"{schema['name']} has two fields of one name")
            for field in schema["fields"]:
                _check_sizes(field["type"])


def _too_many() -> RefusedRecordError:
    return _refused(f"more than {MOST_VALUES} values")


def _refused(why: str) -> RefusedRecordError:
    return RefusedRecordError(Reason.UNPARSABLE, f"not Avro of the schema: {why}")
