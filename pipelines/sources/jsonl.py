"""Records from JSON lines."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from triad_ml.pipelines.sources import fields, lines, strict_json, units
from triad_ml.pipelines.sources.units import Unit
from triad_ml.pipelines.storage import opening
from triad_ml.transforms.records.values import Position, RawRecord, Reason, Rejected

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read(unit: Unit, labels: Sequence[str]) -> Iterator[RawRecord | Rejected]:
    """Reads the lines that begin in the unit's byte range, or all of a compressed file.

    Empty lines are no records. Positions are byte offsets, or counted records where the file is
    compressed.
    """
    names = frozenset(labels)
    with opening.open_inflated(unit.uri) as file:
        if opening.is_gzip(unit.uri):
            numbered = _counted(lines.read(file))
        else:
            units.refuse_shorter(unit, opening.size(file))
            numbered = lines.read(file, unit.start, unit.stop)
        for number, line in numbered:
            if isinstance(line, bytes) and line.isspace():
                continue
            yield _record(line, Position(unit.uri, number, unit.index), names)


def _counted(
    numbered: Iterator[tuple[int, bytes | lines.LongLine]],
) -> Iterator[tuple[int, bytes | lines.LongLine]]:
    given = (line for _, line in numbered if isinstance(line, lines.LongLine) or not line.isspace())
    return enumerate(given)


def _record(
    line: bytes | lines.LongLine, position: Position, names: frozenset[str]
) -> RawRecord | Rejected:
    if isinstance(line, lines.LongLine):
        too_long = fields.RefusedRecordError(
            Reason.TOO_LARGE, f"the line is longer than {lines.LONGEST} bytes"
        )
        return fields.rejected(too_long, position, line.digest)
    line = line.rstrip(b"\r\n")  # messages and digests do not depend on the kind of line end
    if position.offset == 0:
        line = line.removeprefix(lines.BYTE_ORDER_MARK)
    try:
        row, doubtful = parse(line)
        return fields.assemble(row, position, names, doubtful)
    except fields.RefusedRecordError as error:
        return fields.rejected(error, position, hashlib.sha256(line).hexdigest())


def parse(line: bytes) -> tuple[dict[str, Any], bool]:
    """The fields of a line, and whether a string may hold lone surrogates.

    Raises:
        RefusedRecordError: Where the line is no strict JSON, or no object, or is over a cap.
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
