"""Reader of Parquet files."""

import contextlib
import os
from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from triad_ml.pipelines.sources import fields
from triad_ml.pipelines.sources.columnar import footer, pages, row_ranges, sizes
from triad_ml.pipelines.sources.columnar import values as columnar_values
from triad_ml.pipelines.sources.files import InputFile, Unit, changed_error
from triad_ml.pipelines.storage import opening
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records.values import Position, RawRecord, Reason, Rejected


def read(unit: Unit, labels: Sequence[str]) -> Iterator[RawRecord | Rejected]:
    """Reads the rows from `unit.start` to `unit.stop`; positions are the indices of rows.

    Images and audio are the media themselves if they are binary, and URIs if they are strings. The
    memory that a row group takes is known before it is unpacked; the rows of one that takes too
    much are rejected one by one, and so is a row that is larger than a record may be.

    Raises:
        OptionsError: The file is no Parquet file, is damaged, has no column `id`, or has two
            columns of one name.
        StorageError: The file changed since the plan.
    """
    names = frozenset(labels)
    with _damage_named(unit.uri), _scanning(unit) as scan:
        for rows in scan.rows(unit.start, unit.stop):
            yield from _outcomes(rows, unit, names)
        scan.keep(unit.stop)


@contextlib.contextmanager
def _scanning(unit: Unit) -> Iterator["_Scan"]:
    """Yields the scan for a unit, and closes it at the end unless it is kept for the next unit."""
    scan = _Scan.resumed(unit) or _Scan(unit)
    try:
        yield scan
    finally:
        scan.close_unless_kept()


class _Rows(NamedTuple):
    """Consecutive rows of a file.

    Attributes:
        first: Index of the first row.
        size: Number of rows.
        batch: Content of the rows; None if they are refused.
        refusal: Reason for which they are refused, or "".
    """

    first: int
    size: int
    batch: pa.RecordBatch | None = None
    refusal: str = ""

    def between(self, start: int, stop: int) -> "_Rows":
        """Returns those of the rows that are in `[start, stop)`."""
        first = max(start, self.first)
        size = max(0, min(stop, self.first + self.size) - first)
        batch = None if self.batch is None else self.batch.slice(first - self.first, size)
        return _Rows(first, size, batch, self.refusal)


class _Scan:
    """Scan of a file's rows, beginning with a row group.

    Reading can begin only with a row group. A process reads its units one after the other, so a
    scan that ended within a row group is kept, and the next unit continues with it. Any other scan
    is closed: it and the generator of its rows refer to each other, and would hold the file and its
    unpacked rows in memory until the next garbage collection.
    """

    _kept: dict[tuple[str, int, int, int, int], "_Scan"] = {}
    """Kept scan, at most one, by its file, its next row and the state of the file."""

    def __init__(self, unit: Unit) -> None:
        self._uri = unit.uri
        self._file = opening.open_stored(unit.uri)
        self._footer = footer.read(self._file)
        if self._footer.rows < unit.stop:
            raise changed_error(unit.uri)
        self._parquet = pq.ParquetFile(
            self._file, pre_buffer=False, buffer_size=opening.BUFFER_BYTES
        )
        names = self._parquet.schema_arrow.names
        fields.check_columns(unit.uri, names, ", ".join(names[:12]))
        self._ahead = self._pieces(unit.start)
        self._held: _Rows | None = None

    @classmethod
    def resumed(cls, unit: Unit) -> "_Scan | None":
        """Returns the kept scan if the unit begins where it ended and the file is unchanged."""
        kept, cls._kept = cls._kept, {}
        path = opening.local_path(unit.uri)
        scan = None
        if kept and path is not None:
            with contextlib.suppress(OSError):
                scan = kept.pop(_state(unit.uri, unit.start, os.stat(path)), None)
        for other in kept.values():
            other.close_unless_kept()
        return scan

    def keep(self, row: int) -> None:
        """Keeps the scan for the unit that begins at a row, if the scan is within a row group."""
        if self._held is not None and opening.local_path(self._uri) is not None:
            state = _state(self._uri, row, os.fstat(self._file.fileno()))
            type(self)._kept = {state: self}

    def close_unless_kept(self) -> None:
        """Releases the file and the rows, unless the scan is kept."""
        if self not in self._kept.values():
            self._ahead.close()
            self._held = None
            self._file.close()

    def rows(self, start: int, stop: int) -> Iterator[_Rows]:
        """Yields the rows in `[start, stop)`, few at a time; the next call continues after them."""
        while (rows := self._held or next(self._ahead, None)) is not None:
            end = rows.first + rows.size
            self._held = rows if end > stop else None
            wanted = rows.between(start, stop)
            if wanted.size:
                yield wanted
            if end >= stop:
                return

    def _pieces(self, start: int) -> Generator[_Rows, None, None]:
        """Yields the rows of the row group that holds the row `start`, and of all later groups."""
        first = 0
        for index, group in enumerate(self._footer.groups):
            if first + group.rows > start:
                yield from self._group(index, first, group.rows)
            first += group.rows

    def _group(self, group: int, first: int, count: int) -> Iterator[_Rows]:
        schema = self._parquet.schema
        plan = pages.plan_group(self._file, self._footer, schema, group)
        if plan.refusal:
            yield _Rows(first, count, refusal=plan.refusal)
            return
        parquet = self._parquet
        if plan.dictionaries:
            parquet = pq.ParquetFile(
                self._file, metadata=parquet.metadata, read_dictionary=list(plan.dictionaries)
            )
        batches = parquet.iter_batches(plan.batch_records, row_groups=[group], use_threads=False)
        end = first + count
        for batch in batches:
            yield _Rows(first, batch.num_rows, batch)
            first += batch.num_rows
        if first != end:  # Arrow stops if a column ends earlier than the footer says.
            raise pages.PagesError("a row group has other rows than the footer says")


def _state(uri: str, row: int, status: os.stat_result) -> tuple[str, int, int, int, int]:
    return uri, row, status.st_ino, status.st_size, status.st_mtime_ns


_DAMAGED = (
    pa.ArrowException,
    OSError,
    UnicodeDecodeError,  # From pyarrow, for a name or a time zone.
    footer.FooterError,
    pages.PagesError,
)


@contextlib.contextmanager
def _damage_named(uri: str) -> Iterator[None]:
    """Raises errors of a damaged file as an OptionsError that names the file."""
    try:
        yield
    except _DAMAGED as e:
        why = " ".join(str(e).split())
        raise OptionsError(f"{uri}: is damaged or no Parquet file: {why}; write it again") from e


def _outcomes(rows: _Rows, unit: Unit, names: frozenset[str]) -> Iterator[RawRecord | Rejected]:
    index = rows.first
    if rows.batch is None:
        for index in range(rows.first, rows.first + rows.size):
            yield _refused(rows.refusal, Position(unit.uri, index, unit.index))
        return
    for batch, refusal in sizes.pieces(rows.batch):
        if refusal:
            yield _refused(refusal, Position(unit.uri, index, unit.index))
            index += len(batch)
            continue
        for row, doubtful in _rows(batch, names):
            yield _record(row, Position(unit.uri, index, unit.index), names, doubtful)
            index += 1


def _refused(why: str, position: Position) -> Rejected:
    return fields.rejected(fields.RefusedRecordError(Reason.TOO_LARGE, why), position, "")


def _rows(batch: pa.RecordBatch, names: frozenset[str]) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yields rows as dicts, each with True if a string of the batch may hold lone surrogates."""
    columns = {}
    doubtful = False
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        is_string = name in ("id", "group", "split") or fields.is_label(name, names)
        columns[name], damaged = _values(column, is_string)
        doubtful = doubtful or damaged
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True)), doubtful


def _values(column: pa.Array, is_string: bool) -> tuple[list[Any], bool]:
    """Returns the Python values of a column, and True if a string may hold lone surrogates."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        values, doubtful = columnar_values.values(column), False
    except UnicodeDecodeError:  # In at least one row: mark the bytes, so that only it is refused.
        values, doubtful = columnar_values.values(column, lenient=True), True
    if is_string and _is_binary(column.type):
        return [None if value is None else columnar_values.decoded(value) for value in values], True
    return values, doubtful


def _is_binary(kind: pa.DataType) -> bool:
    variable = kind in (pa.binary(), pa.large_binary(), pa.binary_view())
    return variable or bool(pa.types.is_fixed_size_binary(kind))


def _record(
    row: dict[str, Any], position: Position, names: frozenset[str], doubtful: bool
) -> RawRecord | Rejected:
    original = dict(row)  # `assemble` modifies the row.
    try:
        return fields.assemble(row, position, names, doubtful)
    except fields.RefusedRecordError as error:
        return fields.rejected(error, position, fields.row_digest(original))


class ParquetReader:
    """Reader of Parquet; a unit is a range of whole row groups, or of rows in a large one."""

    suffixes = (".parquet",)
    may_be_empty = False
    can_be_entered = True
    read = staticmethod(read)

    def ranges(
        self, file: InputFile, unit_bytes: int, unit_records: int
    ) -> Iterator[tuple[int, int]]:
        with _footer(file.uri) as metadata:
            ranges = list(row_ranges.cut(metadata, unit_bytes, unit_records))
        yield from ranges

    def records(self, file: InputFile) -> float | None:
        with _footer(file.uri) as metadata:
            return float(metadata.rows)


@contextlib.contextmanager
def _footer(uri: str) -> Iterator[footer.Footer]:
    """Yields the footer of a file; a FooterError in the block also becomes an OptionsError."""
    try:
        with opening.open_stored(uri) as file:
            content = footer.read(file)
        yield content
    except footer.FooterError as error:
        raise OptionsError(f"{uri}: is no Parquet file: {error}; write it again") from error
