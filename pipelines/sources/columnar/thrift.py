"""Reader of Thrift's compact protocol, in which Parquet's headers are: structs become dicts."""

from typing import Any

MOST_CONTAINERS = 2_000_000
"""Largest number of structs and lists that one reader makes.

An empty one is one byte in a file, and takes about a hundred in memory.
"""

_DEEPEST = 16
_LAST_FIELD = 2**15 - 1

STOP, TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)


class ThriftError(ValueError):
    """Error for bytes that are no struct, or are a struct nested deeper than Parquet's headers."""


class CutError(ThriftError):
    """Error for bytes that end within a struct."""


class Reader:
    """Reader of consecutive values.

    Attributes:
        place: Offset of the next byte.

    Raises:
        CutError: The bytes end within a value.
        ThriftError: The bytes are no such value.
    """

    def __init__(self, content: bytes, place: int = 0) -> None:
        self._content = content
        self.place = place
        self._left = MOST_CONTAINERS

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Reads a struct: its fields by number, as ints, bytes, booleans, lists and dicts.

        Floating-point numbers are returned as their eight bytes.
        """
        self._count()
        fields: dict[int, Any] = {}
        number = 0
        while True:
            number, kind = self.field(number)
            if kind == STOP:
                return fields
            fields[number] = self.value(kind, depth)

    def field(self, before: int) -> tuple[int, int]:
        """Reads the number and kind of the next field, which follows the field `before`."""
        head = self._byte()
        if head == STOP:
            return before, STOP
        step = head >> 4
        number = before + step if step else self._signed()
        if abs(number) > _LAST_FIELD:
            raise ThriftError("a header has more fields than the format knows")
        return number, head & 15

    def value(self, kind: int, depth: int = 0) -> Any:
        """Reads the value of a field of a kind."""
        if kind in _INTEGERS:
            return self._signed()
        if kind == BINARY:
            return self._take(self._unsigned())
        if kind in (TRUE, FALSE):
            return kind == TRUE
        if depth > _DEEPEST:
            raise ThriftError("a header is nested too deep")
        if kind in (LIST, SET):
            inner, count = self.sequence()
            if inner in (TRUE, FALSE, BYTE):
                return list(self._take(count))
            return [self.value(inner, depth + 1) for _ in range(count)]
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind == BYTE:
            return self._byte()
        if kind == DOUBLE:
            return self._take(8)
        raise ThriftError("a header holds what the format does not have")

    def sequence(self) -> tuple[int, int]:
        """Reads the head of a list: the kind and the number of its values."""
        self._count()
        head = self._byte()
        count = head >> 4
        if count == 15:
            count = self._unsigned()
        if count > len(self._content) - self.place:  # Each value takes at least one byte.
            raise CutError("a list of a header is cut off")
        return head & 15, count

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise ThriftError(f"a header has over {MOST_CONTAINERS} structs and lists")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)

    def _unsigned(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise ThriftError("a number of a header is too long")

    def _byte(self) -> int:
        place = self.place
        if place >= len(self._content):
            raise CutError("a header is cut off")
        self.place = place + 1
        return self._content[place]

    def _take(self, count: int) -> bytes:
        start = self.place
        if count > len(self._content) - start:
            raise CutError("a header is cut off")
        self.place = start + count
        return self._content[start : start + count]
