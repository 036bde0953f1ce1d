"""Reader of JSON Lines."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from triad_ml.pipelines.sources import fields, lines, strict_json
from triad_ml.pipelines.sources.files import InputFile, Unit, average_line, refuse_shorter
from triad_ml.pipelines.storage import opening
from triad_ml.transforms.records.values import Position, RawRecord, Reason, Rejected

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read(unit: Unit, labels: Sequence[str]) -> Iterator[RawRecord | Rejected]:
    """Reads the lines that begin in the unit's byte range, or all of a compressed file.

    Empty lines are skipped. Positions are byte offsets; in a compressed file, they are the indices
    of the records.
    """
    names = frozenset(labels)
    with opening.open_inflated(unit.uri) as file:
        if opening.is_gzip(unit.uri):
            numbered = _counted(lines.read(file))
        else:
            refuse_shorter(unit, opening.size(file))
            numbered = lines.read(file, unit.start, unit.stop)
        for number, line in numbered:
            if isinstance(line, bytes) and line.isspace():
                continue
            yield _record(line, Position(unit.uri, number, unit.index), names)


def _counted(
    numbered: Iterator[tuple[int, bytes | lines.LongLine]],
) -> Iterator[tuple[int, bytes | lines.LongLine]]:
    filled = (
        line for _, line in numbered if isinstance(line, lines.LongLine) or not line.isspace()
    )
    return enumerate(filled)


def _record(
    line: bytes | lines.LongLine, position: Position, names: frozenset[str]
) -> RawRecord | Rejected:
    if isinstance(line, lines.LongLine):
        too_long = fields.RefusedRecordError(
            Reason.TOO_LARGE, f"the line is longer than {lines.LONGEST} bytes"
        )
        return fields.rejected(too_long, position, line.digest)
    line = line.rstrip(b"\r\n")  # Messages and digests do not depend on the kind of line end.
    if position.offset == 0:
        line = line.removeprefix(lines.BYTE_ORDER_MARK)
    try:
        row, doubtful = parse(line)
        return fields.assemble(row, position, names, doubtful)
    except fields.RefusedRecordError as error:
        return fields.rejected(error, position, hashlib.sha256(line).hexdigest())


def parse(line: bytes) -> tuple[dict[str, Any], bool]:
    """Parses a line.

    Returns:
        Fields by name, and True if a string may hold lone surrogates.

    Raises:
        RefusedRecordError: The line is no strict JSON, or no object, or exceeds a limit.
    """
    if lines.is_long_as_text(line):
        why = f"the line takes more than {lines.LONGEST} bytes as text"
        raise fields.RefusedRecordError(Reason.TOO_LARGE, why)
    try:
        text = line.decode()
        doubtful = b"\\u" in line and _SURROGATE.search(line) is not None
    except UnicodeDecodeError:
        text = line.decode(errors="surrogateescape")
        doubtful = True
    try:
        row = strict_json.parse(text)
    except strict_json.TooManyValuesError as error:
        raise fields.RefusedRecordError(Reason.TOO_LARGE, str(error)) from error
    except strict_json.StrictJsonError as error:
        raise fields.RefusedRecordError(Reason.UNPARSABLE, str(error)) from error
    if not isinstance(row, dict):
        raise fields.RefusedRecordError(Reason.UNPARSABLE, "the line is not an object")
    return row, doubtful


class JsonlReader:
    """Reader of JSON Lines; a line belongs to the range that holds its first byte."""

    suffixes = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
    may_be_empty = True
    can_be_entered = True
    read = staticmethod(read)

    def ranges(
        self, file: InputFile, unit_bytes: int, unit_records: int
    ) -> Iterator[tuple[int, int]]:
        if opening.is_gzip(file.uri):
            yield 0, file.size
            return
        width = min(unit_bytes, max(1, int(unit_records * average_line(file.uri))))
        count = -(-file.size // width)
        for index in range(count):
            yield index * file.size // count, (index + 1) * file.size // count

    def records(self, file: InputFile) -> float | None:
        return None if opening.is_gzip(file.uri) else file.size / average_line(file.uri)
