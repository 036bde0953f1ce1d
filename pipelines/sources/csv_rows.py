"""Reader of CSV files with a header."""

import collections
import contextlib
import csv
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from triad_ml.pipelines.sources import fields, format_checks, lines, strict_json
from triad_ml.pipelines.sources.files import InputFile, Unit, average_line, refuse_other_size
from triad_ml.pipelines.storage import opening
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records.values import Position, RawRecord, Reason, Rejected

LINE_COST = 64
"""Overhead in bytes of each line that is held in memory, besides its content."""


def read(unit: Unit, labels: Sequence[str]) -> Iterator[RawRecord | Rejected]:
    """Reads the rows after the header; positions are the indices of rows. Empty lines are skipped.

    A row that cannot be parsed is rejected. If that row is several lines, because a quote does not
    close as it should, only the line in which the quote opens is rejected. The lines after it are
    read again: each as a row of one line, and, from the line that showed the error on, as usual.

    Raises:
        OptionsError: The header cannot be parsed, or has no `id`, or has a name twice.
        StorageError: The file changed since the plan.
    """
    csv.field_size_limit(lines.LONGEST)  # For the whole process; the default is 128 KiB.
    names = frozenset(labels)
    with opening.open_stored(unit.uri) as stored:
        refuse_other_size(unit, opening.size(stored))
    with opening.open_inflated(unit.uri) as file:
        held = _HeldLines(lines.read(file))
        rows = csv.reader(held, strict=True)
        columns = _columns(unit.uri, rows, held)
        index = 0
        while True:
            position = Position(unit.uri, index, unit.index)
            try:
                cells = _next(rows, held)
                if cells is None:
                    return
                if not cells:
                    continue  # An empty line.
                row = _row(cells, columns, names, held)
                outcome = fields.assemble(row, position, names, held.doubtful)
            except fields.RefusedRecordError as error:
                yield fields.rejected(error, position, held.digest())
            else:
                yield outcome
            index += 1


class _HeldLines:
    """Iterator of a file's lines as text, which keeps the lines of the row that is being parsed."""

    def __init__(self, numbered: Iterator[tuple[int, bytes | lines.LongLine]]) -> None:
        self.lines: list[bytes | lines.LongLine] = []
        self.first = self.last = 0  # Line numbers of the row, from 1.
        self.doubtful = False
        self._numbered = numbered
        self._again: collections.deque[tuple[bytes | lines.LongLine, bool]] = collections.deque()
        self._alone = False
        self._bytes = self._commas = 0

    def begin_row(self) -> None:
        self.lines.clear()
        self.first = self.last + 1
        self.doubtful = self._alone = False
        self._bytes = self._commas = 0

    def keep_first(self) -> None:
        """Keeps only the first line of the row; the others are read again.

        Then each of them, except the last, has to be a whole row.
        """
        _, *others = self.lines
        del self.lines[1:]
        self.last -= len(others)
        self._again.extendleft((line, number > 0) for number, line in enumerate(reversed(others)))

    def digest(self) -> str:
        if isinstance(self.lines[0], lines.LongLine):
            return self.lines[0].digest
        stored = b"".join(line for line in self.lines if isinstance(line, bytes))
        return hashlib.sha256(stored.rstrip(b"\r\n")).hexdigest()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._alone and self.lines:
            raise fields.RefusedRecordError(Reason.UNPARSABLE, "a quote does not close in its line")
        if self._again:
            line, self._alone = self._again.popleft()
        else:
            _, line = next(self._numbered)
        self.last += 1
        self.lines.append(line)
        if isinstance(line, lines.LongLine):
            raise _too_large(f"takes more than {lines.LONGEST} bytes")
        if len(line) > fields.MOST_FIELDS or len(self.lines) > 1:  # Most lines need no check.
            self._refuse_large(line)
        if self.last == 1:
            line = self.lines[0] = line.removeprefix(lines.BYTE_ORDER_MARK)
        try:
            return line.decode()
        except UnicodeDecodeError:
            self.doubtful = True
            return line.decode(errors="surrogateescape")

    def _refuse_large(self, line: bytes) -> None:
        """Refuses a row before its memory or its number of cells exceeds the limit."""
        self._bytes += len(line) + LINE_COST
        if self._bytes > lines.LONGEST + LINE_COST:
            raise _too_large(f"takes more than {lines.LONGEST} bytes")
        commas = line.count(b",")
        if self._commas + commas > fields.MOST_VALUES:
            is_within_quotes = len(self.lines) > 1  # Otherwise the row would have ended.
            commas = _outside_quotes(line, is_within_quotes)
        self._commas += commas
        if self._commas > fields.MOST_VALUES:
            raise _too_large(f"has over {fields.MOST_VALUES} cells")


def _too_large(why: str) -> fields.RefusedRecordError:
    return fields.RefusedRecordError(Reason.TOO_LARGE, f"the row {why}")


def _outside_quotes(line: bytes, quoted: bool) -> int:
    """Counts the commas of a line outside quotes; with `quoted`, the line begins within quotes."""
    characters = np.frombuffer(line, np.uint8)
    inside = np.logical_xor.accumulate(characters == ord('"')) ^ quoted
    return int(np.count_nonzero((characters == ord(",")) & ~inside))


def _next(rows: Iterator[list[str]], held: _HeldLines) -> list[str] | None:
    """Returns the cells of the next row: [] for an empty line, None at the end.

    Raises:
        RefusedRecordError: The row cannot be parsed; `held` then has one line.
    """
    held.begin_row()
    try:
        return next(rows)
    except StopIteration:
        return None
    except csv.Error as error:
        refused = fields.RefusedRecordError(Reason.UNPARSABLE, f"not CSV: {error}")
        cause: Exception = error
    except fields.RefusedRecordError as error:
        refused = cause = error
    if len(held.lines) > 1:
        where = f"a quote opens in line {held.first} and does not close as it should up to line"
        refused = fields.RefusedRecordError(
            refused.reason, f"{where} {held.last}: {refused}; double each quote inside a cell"
        )
        held.keep_first()
    raise refused from cause


def _columns(uri: str, rows: Iterator[list[str]], held: _HeldLines) -> list[str]:
    """Reads the header and returns the names of its columns."""
    try:
        columns = _next(rows, held)
    except fields.RefusedRecordError as error:
        raise OptionsError(f"{uri}: the header is {error}; write the file again") from error
    if columns is None:
        raise OptionsError(f"{uri}: has no header; write it again with the names of its columns")
    if len(columns) == 1:
        format_checks.check_header(uri, columns[0].encode(errors="replace"))
    fields.check_columns(uri, columns, format_checks.known(columns))
    return columns


def _row(
    cells: list[str], columns: list[str], names: frozenset[str], held: _HeldLines
) -> dict[str, Any]:
    if len(cells) != len(columns):
        where = "" if held.first == held.last else f" in lines {held.first} to {held.last}"
        raise fields.RefusedRecordError(
            Reason.UNPARSABLE, f"{len(cells)} cells{where} under a header of {len(columns)}"
        )
    row: dict[str, Any] = dict(zip(columns, cells, strict=True))
    for name in columns:
        if name == "labels" or fields.is_label(name, names):
            row[name] = _label(row[name])
    return row


def _label(cell: str) -> Any:
    """Returns a label as text, or parsed if it is a JSON list or object; an empty cell is None."""
    if cell[:1] in ("[", "{"):
        with contextlib.suppress(strict_json.StrictJsonError):
            parsed = strict_json.parse(cell)
            if fields.is_unicode(parsed):  # JSON escapes may spell lone surrogates.
                return parsed
    return cell or None


class CsvReader:
    """Reader of CSV with a header, always from the beginning, since a quote may span lines."""

    suffixes = (".csv", ".csv.gz")
    may_be_empty = False
    can_be_entered = False
    read = staticmethod(read)

    def ranges(
        self, file: InputFile, unit_bytes: int, unit_records: int
    ) -> Iterator[tuple[int, int]]:
        yield 0, file.size

    def records(self, file: InputFile) -> float | None:
        return None if opening.is_gzip(file.uri) else file.size / average_line(file.uri)
