"""Exporters of published scores by the end of the target's name: Parquet, CSV and JSON Lines."""

import contextlib
import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from triad_ml.pipelines.publishing import reading
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.storage import atomic, local
from triad_ml.pipelines.tables import formats, json_rows
from triad_ml.transforms.errors import OptionsError

Write = Callable[[pa.Table], object]
"""Writes a part's rows behind those of the part before."""


class Exporter(Protocol):
    """Hands published scores to another format or system."""

    def check(self, target: str, overwrite: bool) -> None:
        """Refuses a target that cannot be written, before a run is looked for.

        Raises:
            OptionsError: Naming the target.
        """

    def export(self, target: str, run: RunFolder, manifest: Manifest, overwrite: bool) -> int:
        """Writes the scores of a run, whole or not at all.

        An export is idempotent: the same `manifest.run_id` leaves the same rows in the target,
        however often it is exported.

        Args:
            target: Where to write.
            run: The run, whose files `manifest.scores` names.
            manifest: The published manifest.
            overwrite: Whether to replace what is there.

        Returns:
            The number of rows.

        Raises:
            OptionsError: The target is there.
            DamagedError: A part is missing or is not what the run wrote.
            StorageError: The target cannot be written.
        """


class FileExporter:
    """Writes one local file, part after part; a subclass gives the writer of its format.

    Each part is checked against the manifest and held in memory alone. The rows stand in the order
    of the parts.
    """

    def check(self, target: str, overwrite: bool) -> None:
        if os.path.isdir(target):
            raise OptionsError(f"{target}: is a folder; name a file in it")
        if os.path.lexists(target) and not overwrite:
            raise _exists(target)

    def export(self, target: str, run: RunFolder, manifest: Manifest, overwrite: bool) -> int:
        schema, tables = reading.tables(run, manifest)
        rows = 0
        with atomic.explained(target):
            try:
                with (
                    local.writing(target, overwrite) as file,
                    self.writer(file, schema) as write,
                ):
                    for table in tables:
                        write(table)
                        rows += len(table)
            except FileExistsError as error:
                raise _exists(target) from error
        return rows

    def writer(self, file: BinaryIO, schema: pa.Schema) -> contextlib.AbstractContextManager[Write]:
        """Begins a file with these columns; the end of the block completes it."""
        raise NotImplementedError


class ParquetExporter(FileExporter):
    """One Parquet file with the columns of the parts."""

    @contextlib.contextmanager
    def writer(self, file: BinaryIO, schema: pa.Schema) -> Iterator[Write]:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            yield writer.write_table


class JsonLinesExporter(FileExporter):
    """One file of JSON Lines with the columns of the parts."""

    @contextlib.contextmanager
    def writer(self, file: BinaryIO, schema: pa.Schema) -> Iterator[Write]:
        yield lambda table: file.write(formats.encode(table, "jsonl"))


class CsvExporter(FileExporter):
    """One CSV file: a column for each field of a struct, lists as JSON, nothing as empty cells."""

    @contextlib.contextmanager
    def writer(self, file: BinaryIO, schema: pa.Schema) -> Iterator[Write]:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(_header(schema))
        yield lambda table: rows.writerows(_csv_rows(table))
        text.detach()  # flushes it, and leaves the file open


EXPORTERS: Mapping[str, Exporter] = {
    ".parquet": ParquetExporter(),
    ".csv": CsvExporter(),
    ".jsonl": JsonLinesExporter(),
}
"""The exporters: of files by the end of the name, of other systems by a scheme such as `x://`."""


def find(target: str) -> Exporter:
    """The exporter of a target.

    Raises:
        OptionsError: Where there is none.
    """
    scheme, is_uri, _ = target.partition("://")
    if is_uri:
        found = EXPORTERS.get(f"{scheme}://")
        if found is None:
            raise OptionsError(f"--output: {target!r} is no local file; export it, then copy")
        return found
    for end, exporter in EXPORTERS.items():
        if target.endswith(end):
            return exporter
    ends = ", ".join(one for one in EXPORTERS if not one.endswith("://"))
    raise OptionsError(f"--output: {target!r} ends in none of {ends}; its end says what is written")


def _exists(path: str) -> OptionsError:
    return OptionsError(f"{path}: is there already; name another file, or give --overwrite")


def _header(schema: Sequence[pa.Field]) -> list[str]:
    names = []
    for field in schema:
        if pa.types.is_struct(field.type):
            names += [f"{field.name}.{name}" for name in _header(list(field.type))]
        else:
            names.append(field.name)
    return names


def _csv_rows(table: pa.Table) -> Iterator[tuple[str, ...]]:
    columns = [cells for column in table.columns for cells in _cells(column.combine_chunks())]
    return zip(*columns, strict=True)


def _cells(array: pa.Array) -> list[list[str]]:
    """The texts of a column, or of each field of a struct."""
    if pa.types.is_struct(array.type):
        return [cells for field in array.type for cells in _cells(array.field(field.name))]
    return [[_cell(value) for value in json_rows.json_values(array)]]


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
