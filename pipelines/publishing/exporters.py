"""Exporters of published scores, chosen by the target's extension: Parquet, CSV and JSON Lines."""

import abc
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
"""Function that appends the rows of one part to the target."""


class Exporter(Protocol):
    """Interface of an exporter, which writes published scores to another format or system."""

    def check(self, target: str, overwrite: bool) -> None:
        """Refuses a target that cannot be written, before the run is read.

        Raises:
            OptionsError: The target cannot be written; the message names it.
        """

    def export(self, target: str, run: RunFolder, manifest: Manifest, overwrite: bool) -> int:
        """Writes the scores of a run, whole or not at all.

        An export is idempotent: the same `manifest.run_id` leaves the same rows in the target,
        however often it is exported.

        Args:
            target: Path or URI to write to.
            run: Folder of the run, whose files `manifest.scores` names.
            manifest: Manifest of the published run.
            overwrite: True if an existing target is replaced.

        Returns:
            Number of rows written.

        Raises:
            OptionsError: The target exists, and `overwrite` is False.
            DamagedError: A part is missing or is not what the run wrote.
            StorageError: The target cannot be written.
        """


class FileExporter(abc.ABC):
    """Base of exporters to one local file; a subclass implements `writer` for its format.

    The parts are written in their order. Each is checked against the manifest, and only one is in
    memory at a time.
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

    @abc.abstractmethod
    def writer(self, file: BinaryIO, schema: pa.Schema) -> contextlib.AbstractContextManager[Write]:
        """Begins a file with the columns of `schema`, and completes it at the end of the block."""


class ParquetExporter(FileExporter):
    """Exporter to one Parquet file with the columns of the parts."""

    @contextlib.contextmanager
    def writer(self, file: BinaryIO, schema: pa.Schema) -> Iterator[Write]:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            yield writer.write_table


class JsonLinesExporter(FileExporter):
    """Exporter to one file of JSON Lines with the columns of the parts."""

    @contextlib.contextmanager
    def writer(self, file: BinaryIO, schema: pa.Schema) -> Iterator[Write]:
        yield lambda table: file.write(formats.encode(table, "jsonl"))


class CsvExporter(FileExporter):
    """Exporter to one CSV file.

    Each field of a struct is a column, lists are JSON, and missing values are empty cells.
    """

    @contextlib.contextmanager
    def writer(self, file: BinaryIO, schema: pa.Schema) -> Iterator[Write]:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(_header(schema))
        yield lambda table: rows.writerows(_csv_rows(table))
        text.detach()  # Flushes the text and leaves the file open.


EXPORTERS: Mapping[str, Exporter] = {
    ".parquet": ParquetExporter(),
    ".csv": CsvExporter(),
    ".jsonl": JsonLinesExporter(),
}
"""Exporters by the target's extension, or by a scheme such as `x://` for other systems."""


def find(target: str) -> Exporter:
    """Returns the exporter of a target.

    Raises:
        OptionsError: No exporter has the target's scheme or extension.
    """
    scheme, is_uri, _ = target.partition("://")
    if is_uri:
        of_scheme = EXPORTERS.get(f"{scheme}://")
        if of_scheme is None:
            raise OptionsError(f"--output: {target!r} is no local file; export it, then copy")
        return of_scheme
    for end, exporter in EXPORTERS.items():
        if target.endswith(end):
            return exporter
    ends = ", ".join(end for end in EXPORTERS if not end.endswith("://"))
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
    """Returns the cells of a column, or, of a struct, those of each field."""
    if pa.types.is_struct(array.type):
        return [cells for field in array.type for cells in _cells(array.field(field.name))]
    return [[_cell(value) for value in json_rows.json_values(array)]]


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
