"""What a row group of a Parquet file takes once unpacked, by the headers of its pages.

It is asked before anything is unpacked: a page of a few bytes may claim gigabytes, or be a
dictionary that many rows refer to, and Arrow reserves what they claim.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from triad_ml.pipelines.sources.columnar import thrift
from triad_ml.pipelines.sources.columnar.footer import Footer
from triad_ml.pipelines.storage import opening

BATCH_BYTES = 16 * 2**20
"""About how much of a row group is unpacked, and turned into Python values, at a time."""
BATCH_RECORDS = 1024

PAGES_BYTES = 512 * 2**20
"""Unpacked bytes of a row group's largest pages, one of each column: they are held together."""
LIST_BYTES = 2**30
"""Unpacked bytes of all lists of a row group: one row may have all of them."""
MOST_PAGES = 250_000
"""Pages in a row group."""

_LARGEST_DICTIONARY = 64 * 2**20
"""Bytes of a dictionary whose longest text is looked for; of a larger one any may be as long."""

_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_ABOUT = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}
_PLAIN_DICTIONARY, _DELTA_BYTE_ARRAY, _RLE_DICTIONARY = 2, 7, 8
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
_LEVELS = 4
"""Bytes of a value's two levels, which say what is null and where a list begins."""
_PLAIN = 0
_CODECS = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
_LONGEST_HEADER, _HEADER = 2**20, 2**12
"""Bytes of a page's header: statistics that hold whole media are no statistics."""


class _Chunk(NamedTuple):
    """Where a column of a row group is, by the fields of `ColumnMetaData`."""

    codec: int
    values: int
    stored: int
    data: int
    dictionary: int


class PagesError(ValueError):
    """Headers that contradict each other or the file."""


@dataclasses.dataclass(frozen=True, slots=True)
class GroupPlan:
    """How a row group is read.

    Attributes:
        batch_records: Rows that are unpacked at a time.
        dictionaries: Columns inside lists whose texts stay numbers of their dictionary.
        refusal: Why its rows are not read; "" where they are.
    """

    batch_records: int
    dictionaries: tuple[str, ...] = ()
    refusal: str = ""


@dataclasses.dataclass(slots=True)
class _Column:
    """A column of a row group, by the pages gone through so far.

    Attributes:
        path: Names with dots between.
        is_list: Whether a row may have more than one value.
        is_bytes: Whether values are of any length.
        length: Bytes of a value that is not.
        longest: Bytes of the longest value in the dictionary.
        dictionary: Bytes of the dictionary once it is read.
        page: Bytes of the largest page.
        width: Bytes of a value in the page that has the longest ones on average.
        whole: Bytes of all values and their levels.
        values: Number of all values.
        refers: Whether all pages refer to the dictionary.
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
        """Whether Arrow can leave the values numbers of the dictionary."""
        return self.is_bytes and self.refers and self.values > 0

    def add(self, page: "_Page") -> None:
        refers = page.encoding in (_PLAIN_DICTIONARY, _RLE_DICTIONARY)
        width: float = self.length
        if self.is_bytes and refers:
            width = self.longest
        elif self.is_bytes and page.encoding == _DELTA_BYTE_ARRAY:
            width = page.bytes  # each value may begin as the one before it
        elif self.is_bytes:
            width = page.bytes / max(1, page.values)
        self.page = max(self.page, page.bytes)
        self.width = max(self.width, width)
        self.whole += (width + _LEVELS) * page.values
        self.values += page.values
        self.refers = self.refers and refers


@dataclasses.dataclass(frozen=True, slots=True)
class _Page:
    """A page by its header: `bytes` once unpacked, `stored` from `begin` on in the file."""

    kind: int
    bytes: int
    stored: int
    values: int
    encoding: int
    begin: int

    def __post_init__(self) -> None:
        numbers = (self.bytes, self.stored, self.values, self.encoding)
        if not all(isinstance(one, int) and one >= 0 for one in numbers):
            raise PagesError("the header of a page lacks a number")


def plan_group(file: BinaryIO, footer: Footer, schema: Any, group: int) -> GroupPlan:
    """How a row group is read within the bounds.

    Args:
        file: Of the row group; its position changes.
        footer: Of the file.
        schema: Of the file, as pyarrow has it.
        group: Index of the row group.

    Raises:
        PagesError: Where the headers of the pages contradict the footer or the file.
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
    flat = {one.path: one.width for one in columns if not one.is_list}
    lists = {one.path: one.whole for one in columns if one.is_list}
    dictionaries: tuple[str, ...] = ()
    if sum(lists.values()) > LIST_BYTES:
        numbers = {one.path: 2.0 * _LEVELS * one.values for one in columns if one.can_refer}
        dictionaries = tuple(path for path in lists if path in numbers)
        lists |= {path: numbers[path] for path in dictionaries}
    for what, parts, allowed in (
        ("largest pages", {one.path: one.page + one.dictionary for one in columns}, PAGES_BYTES),
        ("values of one row", flat, PAGES_BYTES),
        ("lists", lists, LIST_BYTES),
    ):
        total = sum(parts.values())
        if total > allowed:
            worst = max(parts, key=lambda path: parts[path])
            why = (
                f"the {what} of its row group take {int(total)} bytes, over {allowed}, most of "
                f"them in column {worst!r}; write smaller row groups and pages"
            )
            return GroupPlan(0, refusal=why)
    width = sum(flat.values()) + sum(lists.values()) / max(1, footer.groups[group].rows)
    return GroupPlan(max(1, min(BATCH_RECORDS, int(BATCH_BYTES / max(1.0, width)))), dictionaries)


def _chunk(about: Mapping[int, Any]) -> _Chunk:
    codec, values, stored, data = (about.get(number, -1) for number in (4, 5, 7, 9))
    chunk = _Chunk(codec, values, stored, data, about.get(11, 0))
    if not all(isinstance(one, int) and one >= 0 for one in chunk):
        raise PagesError("the footer lacks the place of a column")
    return chunk


def _column(file: BinaryIO, size: int, chunk: _Chunk, schema: Any) -> tuple[_Column, int]:
    """A column of a row group, and the number of its pages."""
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
    """The pages of a column, as Arrow goes through them."""
    place = chunk.dictionary if 0 < chunk.dictionary < chunk.data else chunk.data
    end = place + chunk.stored
    if not 0 < place <= end <= size:
        raise PagesError("a column lies outside the file")
    seen = 0
    while place < end and seen < chunk.values:
        page = _page(file, place)
        place = page.begin + page.stored
        if place > end:
            raise PagesError("a page is longer than its column")
        if page.kind in _ABOUT:
            yield page
        if page.kind != _DICTIONARY:
            seen += page.values


def _page(file: BinaryIO, place: int) -> _Page:
    header, length = _header(file, place)
    kind = header.get(1)
    about = header.get(_ABOUT.get(kind, 0), {}) if isinstance(kind, int) else None
    if not isinstance(kind, int) or not isinstance(about, Mapping):
        raise PagesError("the header of a page is none")
    encoding = about.get(4 if kind == _DATA_V2 else 2, 0)
    values = about.get(1, 0)
    return _Page(kind, header.get(2, -1), header.get(3, -1), values, encoding, place + length)


def _header(file: BinaryIO, place: int) -> tuple[dict[int, Any], int]:
    """The header of the page at a place, and its length."""
    length = _HEADER
    while True:
        file.seek(place)
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
    """Bytes of the longest text in a dictionary, or more."""
    if page.bytes > _LARGEST_DICTIONARY or (codec not in _CODECS and codec != _PLAIN):
        return page.bytes
    file.seek(page.begin)
    content = memoryview(file.read(page.stored))
    if codec != _PLAIN:
        content = memoryview(pa.Codec(_CODECS[codec]).decompress(content, page.bytes))
    longest = place = 0
    for _ in range(page.values):
        length = int.from_bytes(content[place : place + 4], "little")
        place += 4 + length
        longest = max(longest, length)
    if place > len(content):
        raise PagesError("a dictionary is shorter than its values")
    return longest
