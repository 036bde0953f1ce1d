"""Records from Parquet files."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import files
from pipelines.sources import arrow_values, changed, fields
from pipelines.units import Unit
from transforms.errors import OptionsError
from transforms.records import Position, RawRecord, Rejected

BATCH_BYTES = 16 * 2**20
"""About how much of a row group is turned into Python values at a time."""
BATCH_RECORDS = 1024


def read(unit: Unit, labels: Sequence[str]) -> Iterator[RawRecord | Rejected]:
    """Reads the row groups from `unit.start` to `unit.stop`; positions are rows of the file.

    Binary pictures and sounds are the media themselves, strings are where they are. Memory is
    bounded by `BATCH_BYTES` and the file's largest page: whoever writes media into Parquet keeps
    pages small.

    Raises:
        OptionsError: Where the file is no Parquet file, is damaged, has no column `id`, or has two
            of one name.
        StorageError: Where the file changed since the plan.
    """
    names = frozenset(labels)
    with files.open_stored(unit.uri) as file, _damage_named(unit.uri):
        parquet = _open(unit, file)
        metadata = parquet.metadata
        groups = [metadata.row_group(index) for index in range(unit.start, unit.stop)]
        index = sum(metadata.row_group(before).num_rows for before in range(unit.start))
        for batch in parquet.iter_batches(
            _batch_records(groups), row_groups=list(range(unit.start, unit.stop)), use_threads=False
        ):
            for row, doubtful in _rows(batch, names):
                position = Position(unit.uri, index, unit.index)
                index += 1
                yield _record(row, position, names, doubtful)


@contextlib.contextmanager
def _damage_named(uri: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        why = " ".join(str(error).split())
        raise OptionsError(
            f"{uri}: is damaged or no Parquet file: {why}; write it again"
        ) from error


def _open(unit: Unit, file: BinaryIO) -> pq.ParquetFile:
    parquet = pq.ParquetFile(file, pre_buffer=False, buffer_size=files.BUFFER_BYTES)
    if parquet.metadata.num_row_groups < unit.stop:
        raise changed.changed(unit.uri)
    fields.check_columns(unit.uri, parquet.schema_arrow.names)
    return parquet


def _batch_records(groups: Sequence[Any]) -> int:
    records = sum(group.num_rows for group in groups)
    size = sum(group.total_byte_size for group in groups)
    return max(1, min(BATCH_RECORDS, int(BATCH_BYTES * records / max(1, size))))


def _rows(batch: pa.RecordBatch, names: frozenset[str]) -> Iterator[tuple[dict[str, Any], bool]]:
    """The rows, and for all of them whether a string may hold lone surrogates."""
    columns = {}
    doubtful = False
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        is_string = name in ("id", "group", "split") or fields.is_label(name, names)
        columns[name], damaged = _values(column, is_string)
        doubtful = doubtful or damaged
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True)), doubtful


def _values(column: pa.Array, is_string: bool) -> tuple[list[Any], bool]:
    """A column as Python values, and whether a string may hold lone surrogates."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        values, doubtful = arrow_values.values(column), False
    except UnicodeDecodeError:  # in one of the rows: find which
        values, doubtful = arrow_values.values(column, lenient=True), True
    if is_string and _is_binary(column.type):
        return [None if one is None else arrow_values.decoded(one) for one in values], True
    return values, doubtful


def _is_binary(kind: pa.DataType) -> bool:
    variable = any(kind == one for one in (pa.binary(), pa.large_binary(), pa.binary_view()))
    return variable or bool(pa.types.is_fixed_size_binary(kind))


def _record(
    row: dict[str, Any], position: Position, names: frozenset[str], doubtful: bool
) -> RawRecord | Rejected:
    given = dict(row)
    try:
        return fields.assemble(row, position, names, doubtful)
    except fields.RefusedRecordError as error:
        return fields.rejected(error, position, _digest(given))


def _digest(row: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for name, value in row.items():
        stored = value if isinstance(value, bytes) else repr(value).encode()
        digest.update(b"%s %d\n" % (name.encode(), len(stored)))
        digest.update(stored)
    return digest.hexdigest()
