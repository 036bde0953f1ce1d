"""Footer of a Parquet file, checked before Arrow reads it.

Arrow recurses into a schema of any depth until its stack overflows, and ends the process if Python
asks for a column's metadata that contradict themselves. So all metadata needed are read here.
"""

import dataclasses
from collections.abc import Collection
from typing import Any, BinaryIO

from triad_ml.pipelines.sources.columnar import thrift
from triad_ml.pipelines.storage import opening

LONGEST = 16 * 2**20
"""Length in bytes of the longest footer."""
MOST_COLUMNS = 16_384
"""Largest number of columns, including those inside others."""
DEEPEST = 64
"""Largest number of levels of columns inside others."""
ROWS_RATIO, ROWS_FREE = 1000, 2**20
"""Largest number of rows for each byte of a file, and the number of rows below which any ratio is
allowed: a run of equal values takes few bytes."""

_TAIL = 8
# Numbers of fields in Thrift structs.
_SCHEMA, _ALL_ROWS, _GROUPS = 2, 3, 4  # FileMetaData
_NAME, _CHILDREN = 4, 5  # SchemaElement
_COLUMNS, _BYTES, _ROWS = 1, 2, 3  # RowGroup
_CHUNK = 3  # ColumnChunk
_PATH, _UNCOMPRESSED = 3, 6  # ColumnMetaData


class FooterError(ValueError):
    """Error for a file that is no Parquet file, or whose footer exceeds a limit."""


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Row group, as the footer describes it.

    Attributes:
        rows: Number of rows.
        bytes: Size in bytes before compression.
        place: Offset of its description in the footer.
    """

    rows: int
    bytes: int
    place: int


@dataclasses.dataclass(frozen=True)
class Footer:
    """Row groups of a file, from its footer.

    Attributes:
        groups: Row groups in order.
        content: Bytes of the footer, without its length and magic number.
    """

    groups: tuple[Group, ...]
    content: bytes = dataclasses.field(repr=False)

    @property
    def rows(self) -> int:
        """Number of rows of the file."""
        return sum(group.rows for group in self.groups)

    def chunks(self, group: int) -> list[Any]:
        """Returns the `ColumnMetaData` of a row group's columns, as dicts by field number.

        Raises:
            FooterError: A column is in another file, or is not described.
        """
        columns = thrift.Reader(self.content, self.groups[group].place).struct()[_COLUMNS]
        chunks = [column.get(_CHUNK) for column in columns if isinstance(column, dict)]
        if not all(isinstance(chunk, dict) for chunk in chunks):
            raise FooterError("a column of it is not described")
        return chunks

    def bytes_beside(self, group: int, names: Collection[str]) -> int:
        """Returns the bytes of a row group, before compression, without the columns in `names`.

        Raises:
            FooterError: As for `chunks`, or a column has no name or size.
        """
        total = 0
        for chunk in self.chunks(group):
            path, size = chunk.get(_PATH), chunk.get(_UNCOMPRESSED)
            if not isinstance(path, list) or not path or not isinstance(path[0], bytes):
                raise FooterError("a column of it has no name")
            if not isinstance(size, int) or size < 0:
                raise FooterError("a column of it does not say how large it is")
            if path[0].decode(errors="replace") not in names:
                total += size
        return total


def read(file: BinaryIO) -> Footer:
    """Reads a footer.

    Args:
        file: Seekable file, at any position; afterwards it is at its beginning.

    Raises:
        FooterError: The file has no footer, or the footer exceeds a limit.
    """
    size = opening.size(file)
    if size < _TAIL + 4:
        raise FooterError("it is shorter than a footer")
    file.seek(size - _TAIL)
    tail = file.read(_TAIL)
    if tail[4:] != b"PAR1":
        raise FooterError("it does not end as one")
    length = int.from_bytes(tail[:4], "little")
    if length > min(LONGEST, size - _TAIL - 4):
        raise FooterError(f"its footer of {length} bytes is longer than the file or {LONGEST}")
    file.seek(size - _TAIL - length)
    content = file.read(length)
    file.seek(0)
    try:
        fields, groups = _parsed(content)
    except thrift.ThriftError as error:
        raise FooterError(str(error)) from error
    _check_schema(fields.get(_SCHEMA))
    footer = Footer(groups, content)
    if footer.rows != fields.get(_ALL_ROWS):
        raise FooterError(f"it claims other rows than the {footer.rows} of its row groups")
    if footer.rows > max(ROWS_FREE, ROWS_RATIO * size):
        raise FooterError(f"it claims {footer.rows} rows in {size} bytes, over {ROWS_RATIO} each")
    return footer


def _parsed(content: bytes) -> tuple[dict[int, Any], tuple[Group, ...]]:
    """Parses a footer; returns its fields without the row groups, and the row groups."""
    reader = thrift.Reader(content)
    fields: dict[int, Any] = {}
    groups: list[Group] = []
    number = 0
    while True:
        number, kind = reader.field(number)
        if kind == thrift.STOP:
            return fields, tuple(groups)
        if number == _GROUPS and kind == thrift.LIST:
            inner, count = reader.sequence()
            if inner != thrift.STRUCT:
                raise FooterError("its row groups are none")
            groups = [_group(reader) for _ in range(count)]
            continue
        fields[number] = reader.value(kind)


def _group(reader: thrift.Reader) -> Group:
    place = reader.place
    group = reader.struct()
    rows, size = group.get(_ROWS), group.get(_BYTES)
    if not isinstance(rows, int) or not isinstance(size, int) or rows < 0:
        raise FooterError("a row group does not say how many rows it has")
    if not isinstance(group.get(_COLUMNS), list):
        raise FooterError("a row group has no columns")
    return Group(rows, size, place)


def _check_schema(schema: Any) -> None:
    """Refuses a tree of columns, listed in depth-first order, that is too wide or too deep."""
    if not isinstance(schema, list) or not all(isinstance(element, dict) for element in schema):
        raise FooterError("its footer has no columns")
    if len(schema) > MOST_COLUMNS:
        raise FooterError(f"it has {len(schema)} columns, over {MOST_COLUMNS}")
    left: list[int] = []  # Number of children that still follow, by level.
    for element in schema:
        try:
            element[_NAME].decode()
        except (KeyError, AttributeError, UnicodeDecodeError) as error:
            raise FooterError("the name of a column is not UTF-8") from error
        while left and left[-1] <= 0:
            left.pop()
        if left:
            left[-1] -= 1
        children = element.get(_CHILDREN, 0)
        left.append(children if isinstance(children, int) else 0)
        if len(left) > DEEPEST:
            raise FooterError(f"its columns are nested deeper than {DEEPEST} levels")
