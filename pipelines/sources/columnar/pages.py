"""Memory that a row group of a Parquet file takes once unpacked, from the headers of its pages.

It is computed before anything is unpacked: a page of a few bytes may claim gigabytes, or be a
dictionary to which many rows refer, and Arrow reserves the memory that they claim.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from triad_ml.pipelines.sources.columnar import thrift
from triad_ml.pipelines.sources.columnar.footer import Footer
from triad_ml.pipelines.storage import opening

BATCH_BYTES = 16 * 2**20
"""Approximate number of bytes of a row group that are unpacked to Python values at a time."""
BATCH_RECORDS = 1024
"""Largest number of rows that are unpacked at a time."""

PAGES_BYTES = 512 * 2**20
"""Limit of a row group's largest pages, one for each column, together, in unpacked bytes.

They are in memory at the same time.
"""
LIST_BYTES = 2**30
"""Limit of all lists of a row group, in unpacked bytes: one row may have all of them."""
MOST_PAGES = 250_000
"""Largest number of pages in a row group."""

_LARGEST_DICTIONARY = 64 * 2**20
"""Size in bytes of the largest dictionary that is searched for its longest text.

In a larger one, any text is taken to be as long as the whole dictionary.
"""

_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_ABOUT = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}
_PLAIN_DICTIONARY, _DELTA_BYTE_ARRAY, _RLE_DICTIONARY = 2, 7, 8
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
_LEVELS = 4
"""Bytes of a value's two levels, which mark nulls and the beginnings of lists."""
_PLAIN = 0
_CODECS = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
_LONGEST_HEADER, _HEADER = 2**20, 2**12
"""Limit of a page's header in bytes, and the bytes that are read first.

Longer headers could only have whole media in their statistics.
"""


class _Chunk(NamedTuple):
    """Position and size of a column of a row group, from the fields of `ColumnMetaData`.

    Attributes:
        codec: Number of the compression codec.
        values: Number of values.
        stored: Size in the file, in bytes.
        data: Offset of the first data page.
        dictionary: Offset of the dictionary page, or 0.
    """

    codec: int
    values: int
    stored: int
    data: int
    dictionary: int


class PagesError(ValueError):
    """Error for headers that contradict each other or the file."""


@dataclasses.dataclass(frozen=True, slots=True)
class GroupPlan:
    """Plan for reading a row group.

    Attributes:
        batch_records: Number of rows that are unpacked at a time.
        dictionaries: Paths of columns inside lists whose texts stay indices into their dictionary.
        refusal: Reason for which its rows are not read, or "".
    """

    batch_records: int
    dictionaries: tuple[str, ...] = ()
    refusal: str = ""


@dataclasses.dataclass(slots=True)
class _Column:
    """Column of a row group, measured by the pages that were walked so far.

    Attributes:
        path: Names of the column and those around it, joined by dots.
        is_list: True if a row may have more than one value.
        is_bytes: True if values have variable length.
        length: Length in bytes of a value of fixed length.
        longest: Length in bytes of the longest value in the dictionary.
        dictionary: Size in bytes of the unpacked dictionary.
        page: Size in bytes of the largest page.
        width: Average length in bytes of a value, in the page where that is largest.
        whole: Size in bytes of all values and their levels.
        values: Number of all values.
        refers: True if all pages refer to the dictionary.
    """

    path: str
    is_list: bool
    is_bytes: bool
    length: int
    longest: int = 0
    dictionary: int = 0
    page: int = 0
    width: float = 0.0
    whole: float = 0.0
    values: int = 0
    refers: bool = True

    @property
    def can_refer(self) -> bool:
        """True if Arrow can leave the values as indices into the dictionary."""
        return self.is_bytes and self.refers and self.values > 0

    def add(self, page: "_Page") -> None:
        """Adds a data page to the figures."""
        refers = page.encoding in (_PLAIN_DICTIONARY, _RLE_DICTIONARY)
        width: float = self.length
        if self.is_bytes and refers:
            width = self.longest
        elif self.is_bytes and page.encoding == _DELTA_BYTE_ARRAY:
            width = page.bytes  # Each value may repeat the beginning of the one before it.
        elif self.is_bytes:
            width = page.bytes / max(1, page.values)
        self.page = max(self.page, page.bytes)
        self.width = max(self.width, width)
        self.whole += (width + _LEVELS) * page.values
        self.values += page.values
        self.refers = self.refers and refers


@dataclasses.dataclass(frozen=True, slots=True)
class _Page:
    """Page as its header describes it.

    Attributes:
        kind: Type of the page: data, data of version 2, dictionary or another.
        bytes: Size in bytes once unpacked.
        stored: Size in bytes in the file.
        values: Number of values.
        encoding: Number of the encoding.
        begin: Offset in the file, after the header.
    """

    kind: int
    bytes: int
    stored: int
    values: int
    encoding: int
    begin: int

    def __post_init__(self) -> None:
        numbers = (self.bytes, self.stored, self.values, self.encoding)
        if not all(isinstance(number, int) and number >= 0 for number in numbers):
            raise PagesError("the header of a page lacks a number")


def plan_group(file: BinaryIO, footer: Footer, schema: Any, group: int) -> GroupPlan:
    """Plans how a row group is read within the limits on memory.

    Args:
        file: File of the row group; its position changes.
        footer: Footer of the file.
        schema: Schema of the file, as in pyarrow.
        group: Index of the row group.

    Raises:
        PagesError: The headers of the pages contradict the footer or the file.
    """
    size = opening.size(file)
    chunks = footer.chunks(group)
    if len(chunks) != len(schema):
        raise PagesError("a row group lacks columns")
    left = MOST_PAGES
    columns = []
    for index, chunk in enumerate(chunks):
        column, pages = _column(file, size, _chunk(chunk), schema.column(index))
        columns.append(column)
        left -= pages
        if left < 0:
            return GroupPlan(0, refusal=f"its row group has more than {MOST_PAGES} pages")
    flat = {column.path: column.width for column in columns if not column.is_list}
    lists = {column.path: column.whole for column in columns if column.is_list}
    dictionaries: tuple[str, ...] = ()
    if sum(lists.values()) > LIST_BYTES:
        # Columns of indices take a number and two levels for each value.
        indices = {
            column.path: 2.0 * _LEVELS * column.values for column in columns if column.can_refer
        }
        dictionaries = tuple(path for path in lists if path in indices)
        lists |= {path: indices[path] for path in dictionaries}
    pages_of = {column.path: column.page + column.dictionary for column in columns}
    for name, parts, allowed in (
        ("largest pages", pages_of, PAGES_BYTES),
        ("values of one row", flat, PAGES_BYTES),
        ("lists", lists, LIST_BYTES),
    ):
        total = sum(parts.values())
        if total > allowed:
            worst = max(parts, key=lambda path: parts[path])
            why = (
                f"the {name} of its row group take {int(total)} bytes, over {allowed}, most of "
                f"them in column {worst!r}; write smaller row groups and pages"
            )
            return GroupPlan(0, refusal=why)
    width = sum(flat.values()) + sum(lists.values()) / max(1, footer.groups[group].rows)
    return GroupPlan(max(1, min(BATCH_RECORDS, int(BATCH_BYTES / max(1.0, width)))), dictionaries)


def _chunk(about: Mapping[int, Any]) -> _Chunk:
    codec, values, stored, data = (about.get(number, -1) for number in (4, 5, 7, 9))
    chunk = _Chunk(codec, values, stored, data, about.get(11, 0))
    if not all(isinstance(number, int) and number >= 0 for number in chunk):
        raise PagesError("the footer lacks the place of a column")
    return chunk


def _column(file: BinaryIO, size: int, chunk: _Chunk, schema: Any) -> tuple[_Column, int]:
    """Measures a column of a row group; returns it and the number of its pages."""
    column = _Column(
        path=schema.path,
        is_list=schema.max_repetition_level > 0,
        is_bytes=schema.physical_type == "BYTE_ARRAY",
        length=_WIDTHS.get(schema.physical_type) or schema.length,
    )
    count = 0
    for count, page in enumerate(_pages(file, size, chunk), 1):
        if count > MOST_PAGES:
            break
        if page.kind != _DICTIONARY:
            column.add(page)
            continue
        if page.values * (4 if column.is_bytes else column.length) > page.bytes:
            raise PagesError("a dictionary has more values than bytes")
        column.dictionary = page.bytes + 16 * page.values
        if column.is_bytes:
            column.longest = _longest(file, chunk.codec, page)
    return column, count


def _pages(file: BinaryIO, size: int, chunk: _Chunk) -> Iterator[_Page]:
    """Yields the pages of a column, in the order in which Arrow reads them."""
    offset = chunk.dictionary if 0 < chunk.dictionary < chunk.data else chunk.data
    end = offset + chunk.stored
    if not 0 < offset <= end <= size:
        raise PagesError("a column lies outside the file")
    seen = 0
    while offset < end and seen < chunk.values:
        page = _page(file, offset)
        offset = page.begin + page.stored
        if offset > end:
            raise PagesError("a page is longer than its column")
        if page.kind in _ABOUT:
            yield page
        if page.kind != _DICTIONARY:
            seen += page.values


def _page(file: BinaryIO, offset: int) -> _Page:
    header, length = _header(file, offset)
    kind = header.get(1)
    about = header.get(_ABOUT.get(kind, 0), {}) if isinstance(kind, int) else None
    if not isinstance(kind, int) or not isinstance(about, Mapping):
        raise PagesError("the header of a page is none")
    encoding = about.get(4 if kind == _DATA_V2 else 2, 0)
    values = about.get(1, 0)
    return _Page(kind, header.get(2, -1), header.get(3, -1), values, encoding, offset + length)


def _header(file: BinaryIO, offset: int) -> tuple[dict[int, Any], int]:
    """Reads the header of the page at an offset; returns it and its length in bytes."""
    length = _HEADER
    while True:
        file.seek(offset)
        content = file.read(length)
        reader = thrift.Reader(content)
        try:
            return reader.struct(), reader.place
        except thrift.CutError as error:
            if len(content) < length or length >= _LONGEST_HEADER:
                raise PagesError(str(error)) from error
            length *= 16
        except thrift.ThriftError as error:
            raise PagesError(str(error)) from error


def _longest(file: BinaryIO, codec: int, page: _Page) -> int:
    """Returns the length in bytes of the longest text in a dictionary, or an upper bound."""
    if page.bytes > _LARGEST_DICTIONARY or (codec not in _CODECS and codec != _PLAIN):
        return page.bytes
    file.seek(page.begin)
    content = memoryview(file.read(page.stored))
    if codec != _PLAIN:
        content = memoryview(pa.Codec(_CODECS[codec]).decompress(content, page.bytes))
    longest = offset = 0
    for _ in range(page.values):
        length = int.from_bytes(content[offset : offset + 4], "little")
        offset += 4 + length
        longest = max(longest, length)
    if offset > len(content):
        raise PagesError("a dictionary is shorter than its values")
    return longest
