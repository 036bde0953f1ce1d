"""Records from CSV files with a header."""

import contextlib
import csv
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pipelines import files, format_checks
from pipelines.sources import changed, fields, lines, strict_json
from pipelines.units import Unit
from transforms.errors import OptionsError
from transforms.records import Position, RawRecord, Reason, Rejected


def read(unit: Unit, labels: Sequence[str]) -> Iterator[RawRecord | Rejected]:
    """Reads the rows behind the header; positions are counted rows. Empty lines are no rows.

    A row that cannot be parsed is rejected where it is one line. Where a quote does not close over
    several lines, nobody can say how many records they are, and the run fails.

    Raises:
        OptionsError: Where the header has no `id` or a name twice, or a quote does not close.
        StorageError: Where the file changed since the plan.
    """
    csv.field_size_limit(lines.LONGEST)  # of the process; 128 KiB where nobody says more
    names = frozenset(labels)
    with files.open_stored(unit.uri) as stored:
        changed.refuse_other_size(unit, files.size(stored))
    with files.open_inflated(unit.uri) as file:
        held = _HeldLines(unit.uri, lines.read(file))
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
                    continue  # an empty line
                row = _row(cells, columns, names, held)
                outcome = fields.assemble(row, position, names, held.doubtful)
            except fields.RefusedRecordError as error:
                yield fields.rejected(error, position, held.digest())
            else:
                yield outcome
            index += 1


class _HeldLines:
    """The lines of a file as text; keeps those of the row that is being parsed."""

    def __init__(self, uri: str, numbered: Iterator[tuple[int, bytes | lines.LongLine]]) -> None:
        self.lines: list[bytes] = []
        self.first = self.last = 0  # counted from 1
        self.doubtful = False
        self.uri = uri
        self._numbered = numbered
        self._bytes = self._commas = 0
        self._quoted = False

    def begin_row(self) -> None:
        self.lines.clear()
        self.first = self.last + 1
        self.doubtful = self._quoted = False
        self._bytes = self._commas = 0

    def digest(self) -> str:
        return hashlib.sha256(b"".join(self.lines).rstrip(b"\r\n")).hexdigest()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        _, line = next(self._numbered)
        self.last += 1
        if isinstance(line, bytes):
            self._bytes += len(line)
        if isinstance(line, lines.LongLine) or self._bytes > lines.LONGEST:
            raise OptionsError(
                f"{self.uri}: the row at line {self.first} is longer than {lines.LONGEST} bytes; "
                "close its quotes, or give large media by URI"
            )
        if self.last == 1:
            line = line.removeprefix(lines.BYTE_ORDER_MARK)
        self.lines.append(line)
        self._refuse_many_cells(line)
        try:
            return line.decode()
        except UnicodeDecodeError:
            self.doubtful = True
            return line.decode(errors="surrogateescape")

    def _refuse_many_cells(self, line: bytes) -> None:
        """Refuses a row before it is cut into more cells than a record has values."""
        commas = line.count(b",") if len(line) > fields.MOST_FIELDS else 0
        if self._commas + commas > fields.MOST_VALUES:
            commas = _outside_quotes(line, self._quoted)
        self._commas += commas
        self._quoted ^= line.count(b'"') % 2 == 1
        if self._commas <= fields.MOST_VALUES:
            return
        why = f"over {fields.MOST_VALUES} cells"
        if len(self.lines) == 1 and not self._quoted:  # so the row ends here
            raise fields.RefusedRecordError(Reason.TOO_LARGE, f"the row has {why}")
        raise OptionsError(
            f"{self.uri}: the row at line {self.first} has {why}; close its quotes, or leave it out"
        )


def _outside_quotes(line: bytes, quoted: bool) -> int:
    """How many commas of a line, which may begin within quotes, part cells."""
    characters = np.frombuffer(line, np.uint8)
    inside = np.logical_xor.accumulate(characters == ord('"')) ^ quoted
    return int(np.count_nonzero((characters == ord(",")) & ~inside))


def _next(rows: Iterator[list[str]], held: _HeldLines) -> list[str] | None:
    """The cells of the next row, none for an empty line, None at the end."""
    held.begin_row()
    try:
        return next(rows)
    except StopIteration:
        return None
    except csv.Error as error:
        if len(held.lines) > 1:
            raise OptionsError(
                f"{held.uri}: the quotes of the row in lines {held.first} to {held.last} do not "
                f"match ({error}); double each quote inside a quoted cell"
            ) from error
        raise fields.RefusedRecordError(Reason.UNPARSABLE, f"not CSV: {error}") from error


def _columns(uri: str, rows: Iterator[list[str]], held: _HeldLines) -> list[str]:
    """The names in the header."""
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
    """A label as text; a JSON list or object is parsed, an empty cell is no label."""
    if cell[:1] in ("[", "{"):
        with contextlib.suppress(strict_json.StrictJsonError):
            parsed = strict_json.parse(cell)
            if fields.is_unicode(parsed):  # its escapes may spell what is none
                return parsed
    return cell or None
